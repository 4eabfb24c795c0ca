"""What is held out together, and what a checkpoint remembers of the data."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evenface_core.errors import DataError, TrainingError
from evenface_training.checkpoint import load_checkpoint, save_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.data import SplitImages, TrainingData, load_data
from evenface_training.device import open_device
from evenface_training.loop import Trainer
from evenface_training.run_folder import RunFolder
from evenface_training.split import held_out
from support.faces import write_images

ConfigMaker = Callable[..., TrainingConfig]


def sides(part: SplitImages) -> tuple[set[str], set[str]]:
    """Names learned from, and names held out."""
    train, validation = (
        {part.source.files[row] for row in rows} for rows in (part.train, part.validation)
    )
    return train, validation


def parts(data: TrainingData) -> tuple[SplitImages, SplitImages]:
    assert data.nonfaces is not None
    return data.faces, data.nonfaces


def on_other_sides(names: list[str], fraction: float = 0.25) -> tuple[str, str]:
    """Two names, the first learned from and the second held out."""
    train = next(name for name in names if not held_out(name, fraction))
    return train, next(name for name in names if held_out(name, fraction))


def test_exact_copies_lie_on_one_side_with_the_first_of_them(
    make_config: ConfigMaker, images: Path
) -> None:
    names = [f"{number:03}.png" for number in range(48)]
    train, validation = on_other_sides(names)
    assert validation in sides(load_data(make_config()).faces)[1]
    (images / "face" / validation).write_bytes((images / "face" / train).read_bytes())
    both = {train, validation}
    learned, held = sides(load_data(make_config()).faces)
    assert both <= (held if held_out(min(both), 0.25) else learned)


def test_images_of_one_column_value_lie_on_one_side_in_faces_and_non_faces(
    make_config: ConfigMaker, images: Path
) -> None:
    lines = ["file,tone,photograph"]
    lines += [f"face/{number:03}.png,plain,{number % 8}" for number in range(48)]
    lines += [f"nonface/{number:03}.png,,{number % 8}" for number in range(40)]
    (images / "labels.csv").write_text("\n".join(lines) + "\n")
    key = {"group_key": {"column": "photograph"}, "validation_fraction": 0.4}
    data = load_data(make_config(data=key))
    photographs = [
        [{int(name[:3]) % 8 for name in side} for side in sides(part)] for part in parts(data)
    ]
    assert photographs[0] == photographs[1]
    learned, held = photographs[0]
    assert learned
    assert held == set(range(8)) - learned


def test_what_a_pattern_finds_in_names_lies_on_one_side(
    make_config: ConfigMaker, images: Path
) -> None:
    key = {"group_key": {"pattern": r"(\d)\.png$"}, "validation_fraction": 0.4}
    for part in parts(load_data(make_config(data=key))):
        learned, held = sides(part)
        digits = {name[2] for name in held}
        assert held
        assert not digits & {name[2] for name in learned}
        assert digits == {digit for digit in "0123456789" if held_out(digit, 0.4)}
    assert images.is_dir()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"column": "person"}, r"labels\.csv: no column 'person' \(data\.group_key\.column\)"),
        (
            {"pattern": "^id"},
            r"data\.group_key\.pattern '\^id' finds nothing in any name.*000\.png",
        ),
    ],
)
def test_a_group_key_that_fits_nothing_is_an_error(
    make_config: ConfigMaker, key: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_data(make_config(data={"group_key": key}))


def test_labels_and_split_are_in_the_digest(make_config: ConfigMaker, images: Path) -> None:
    first = load_data(make_config())
    assert load_data(make_config()).digest == first.digest
    other = load_data(make_config(data={"validation_fraction": 0.3}))
    assert other.digest != first.digest
    text = (images / "labels.csv").read_text()
    (images / "labels.csv").write_text(text.replace("001.png,plain", "001.png,blue"))
    relabelled = load_data(make_config())
    assert relabelled.digest != first.digest
    assert relabelled.images_digest == first.images_digest


def stopped_run(config: TrainingConfig, path: Path) -> RunFolder:
    run = RunFolder.create(path)
    trainer = Trainer(config, load_data(config), run, open_device(config))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(lambda: True)
    run.close()
    return RunFolder(path)


def restore(run: RunFolder) -> None:
    checkpoint = load_checkpoint(run.last)
    config = checkpoint.config
    Trainer(config, load_data(config), run, open_device(config)).restore(checkpoint)
    run.close()


def test_labels_that_changed_are_not_resumed_on(
    make_config: ConfigMaker, images: Path, tmp_path: Path
) -> None:
    run = stopped_run(make_config(), tmp_path / "run")
    restore(run)
    text = (images / "labels.csv").read_text()
    (images / "labels.csv").write_text(text.replace("001.png,plain", "001.png,blue"))
    with pytest.raises(TrainingError, match="or their labels, or which of them are held out"):
        restore(run)


def age(run: RunFolder, data: TrainingData) -> None:
    """Put the digest into a checkpoint that it had before labels and split were in it."""
    digests = [part.source.digest for part in parts(data)]
    old = hashlib.sha256(" ".join(digests).encode()).hexdigest()
    save_checkpoint(run.last, replace(load_checkpoint(run.last), data_digest=old))


def test_a_checkpoint_of_before_labels_were_in_the_digest_is_resumed(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    config = make_config()
    run = stopped_run(config, tmp_path / "run")
    age(run, load_data(config))
    restore(run)


def test_such_a_checkpoint_is_refused_where_its_split_had_copies_on_both_sides(
    make_config: ConfigMaker, images: Path, tmp_path: Path
) -> None:
    train, validation = on_other_sides([f"{number:03}.png" for number in range(48)])
    (images / "face" / validation).write_bytes((images / "face" / train).read_bytes())
    config = make_config()
    run = stopped_run(config, tmp_path / "run")
    age(run, load_data(config))
    with pytest.raises(TrainingError, match="which of them are held out"):
        restore(run)


def test_a_labels_file_may_not_name_a_column_of_the_source(
    make_config: ConfigMaker, images: Path
) -> None:
    folder = write_images(images / "utk") / "face"
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"30_0_1_{number}.png")
    (images / "labels.csv").write_text("file,race\n30_0_1_0.png,White\n")
    faces = {"faces": {"kind": "utkface", "path": folder}, "group_columns": ["race"]}
    with pytest.raises(
        DataError, match=r"labels\.csv: column 'race' is one that .*face has itself"
    ):
        load_data(make_config(data=faces))


def test_a_labels_file_that_knows_of_faces_alone_parts_no_non_faces(
    make_config: ConfigMaker, images: Path
) -> None:
    lines = ["file,tone,person", *(f"face/{n:03}.png,plain,{n % 8}" for n in range(48))]
    (images / "labels.csv").write_text("\n".join(lines) + "\n")
    key = {"group_key": {"column": "person"}, "validation_fraction": 0.4}
    learned, held = sides(parts(load_data(make_config(data=key)))[1])
    assert held == {name for name in learned | held if held_out(name, 0.4)}
