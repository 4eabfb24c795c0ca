import numpy as np
from evenface_training.split import Bools, Key, held_out, hold_out
from numpy.typing import NDArray


def faces(*names: str) -> list[Key]:
    return [("faces", name) for name in names]


def hold(keys: list[Key], digests: list[int], partitions: list[str] | None = None) -> list[bool]:
    held: Bools = hold_out(
        keys, np.array(digests, np.uint64), partitions or [""] * len(keys), fraction=0.5
    )
    sides: list[bool] = held.tolist()
    return sides


def one_of_each_side() -> tuple[str, str]:
    """A name that is learned from and one, after it in the alphabet, that is held out."""
    names = [f"{letter}.png" for letter in "abcdefghijklmnop"]
    train = next(name for name in names if not held_out(name, 0.5))
    validation = next(name for name in names if name > train and held_out(name, 0.5))
    return train, validation


def test_the_held_out_share_is_about_as_asked() -> None:
    held = sum(held_out(f"{number}.png", 0.2) for number in range(5000))
    assert 900 < held < 1100


def test_images_without_copies_go_by_their_own_names() -> None:
    names = [f"{number}.png" for number in range(50)]
    held = hold(faces(*names), list(range(50)))
    assert held == [held_out(name, 0.5) for name in names]


def test_copies_go_where_the_first_of_their_names_goes() -> None:
    train, validation = one_of_each_side()
    assert hold(faces(train, validation), [7, 8]) == [False, True]
    assert hold(faces(train, validation), [7, 7]) == [False, False]
    assert hold(faces(validation, train), [7, 7]) == [False, False]


def test_a_copy_draws_all_images_of_its_key_along() -> None:
    train, validation = one_of_each_side()
    keys: list[Key] = [("", train), ("", validation), ("", validation), ("", "zz")]
    held = hold(keys, [1, 1, 2, 3])
    assert held[:3] == [False, False, False]
    assert held[3] == held_out("zz", 0.5)


def test_a_long_chain_of_copies_is_one_set() -> None:
    names = sorted(f"{number}.png" for number in range(200))
    # Each key has two images; each image is a copy of one of the next key.
    keys: list[Key] = [("", name) for name in names for _ in range(2)]
    digests = np.arange(-1, 399) // 2
    held = hold(keys, (digests + 1).tolist())
    assert len(set(held)) == 1


def test_a_face_and_a_non_face_of_one_name_are_not_taken_for_one_image() -> None:
    train, validation = one_of_each_side()
    keys: list[Key] = [("faces", train), ("faces", validation), ("non-faces", validation)]
    assert hold(keys, [1, 1, 2]) == [False, False, True]


def test_a_partition_overrules_names() -> None:
    train, validation = one_of_each_side()
    held = hold(faces(train, validation), [1, 2], ["validation", "train"])
    assert held == [True, False]


def test_copies_on_both_sides_of_a_partition_are_all_learned_from() -> None:
    for both in (["validation", "train"], ["train", "validation"]):
        held = hold(faces("a", "b", "c"), [1, 1, 2], [*both, "validation"])
        assert held == [False, False, True]


def test_digests_at_the_ends_of_their_range_are_told_apart() -> None:
    digests: NDArray[np.uint64] = np.array([0, 2**64 - 1, 0], np.uint64)
    train, validation = one_of_each_side()
    held = hold_out(faces(train, validation, "zz"), digests, [""] * 3, 0.5).tolist()
    assert held == [False, True, False]
