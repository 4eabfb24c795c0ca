"""Which requests of a stream run as one."""

from itertools import accumulate, pairwise

from evenface_core.errors import InvalidInput
from evenface_server.calls import ClassifyCall, EncodeCall, ImageFiles, RawPixels, Target
from evenface_server.joining import MOST_IMAGE_BYTES, MOST_IMAGES, count_of, join, runs
from hypothesis import given
from hypothesis import strategies as st

Call = EncodeCall | ClassifyCall

TARGETS = (Target("", "", None), Target("faces", "", None), Target("faces", "2", 5.0))
targets = st.sampled_from(TARGETS)
pixels = st.builds(
    lambda data, size, channels: RawPixels(data, size, size, channels),
    st.sampled_from([0, 1, 2, 3, 11, 12, 24, 36, 12 * 31, 12 * 32, 12 * 33]).map(bytes),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0, 1, 3]),
)
sources = st.one_of(pixels, st.just(ImageFiles([b"file"])))
encodings = st.builds(
    EncodeCall,
    targets,
    sources,
    st.sampled_from([None, None, None, 0, 7]),
    st.just(0),
    st.booleans(),
    st.just(1),
)
classifyings = st.builds(ClassifyCall, targets, sources, st.sampled_from([None, 0.5]), st.just(1))
errors = st.just(InvalidInput("images", "missing"))


def encoding(images: int, size: int = 2) -> EncodeCall:
    return EncodeCall(
        TARGETS[0], RawPixels(bytes([images]) * (images * 3 * size**2), size, size, 3)
    )


def any_number(call: Call) -> int:
    del call
    return 1000


def lengths(*calls: Call | Exception) -> list[int]:
    return list(runs(calls, [count_of(call) for call in calls], any_number))


@given(st.one_of(*(st.lists(st.one_of(kind, errors)) for kind in (encodings, classifyings))))
def test_runs_hold_every_call_once_and_only_those_that_may_run_together(
    calls: list[Call | Exception],
) -> None:
    found = lengths(*calls)
    assert sum(found) == len(calls)
    assert all(found)
    for start, stop in pairwise(accumulate(found, initial=0)):
        run = calls[start:stop]
        if len(run) == 1:
            continue
        together = [call for call in run if not isinstance(call, Exception)]
        assert together == run
        assert all(count_of(call) for call in together)
        joined = join(together)
        assert joined.requests == len(run)
        assert count_of(joined) == sum(map(count_of, together)) <= MOST_IMAGES
        for call in together:
            assert isinstance(call.images, RawPixels)
            assert call == joined._replace(images=call.images, requests=1)
            assert isinstance(joined.images, RawPixels)
            assert call.images[1:] == joined.images[1:]
        assert isinstance(joined.images, RawPixels)
        whole = b"".join(
            call.images.data for call in together if isinstance(call.images, RawPixels)
        )
        assert joined.images.data == whole


def test_alike_calls_run_together() -> None:
    assert lengths(*[encoding(1)] * 8) == [8]
    assert lengths(encoding(2), encoding(5), encoding(1)) == [3]


def test_no_more_images_run_together_than_gain_by_it() -> None:
    assert lengths(*[encoding(1)] * (MOST_IMAGES + 3)) == [MOST_IMAGES, 3]
    assert lengths(encoding(20), encoding(12), encoding(1)) == [2, 1]
    assert lengths(encoding(MOST_IMAGES), encoding(1)) == [1, 1]
    assert lengths(encoding(MOST_IMAGES + 1), encoding(MOST_IMAGES + 1)) == [1, 1]


def test_calls_that_differ_run_apart() -> None:
    one = encoding(1)
    other = one._replace(target=TARGETS[1])
    assert lengths(one, one, other, other, one) == [2, 2, 1]
    assert lengths(one, encoding(1, size=4)) == [1, 1]
    assert lengths(one, one._replace(with_probabilities=True)) == [1, 1]
    seeded = one._replace(sample_seed=0)
    assert lengths(seeded, seeded) == [1, 1]
    judged = ClassifyCall(TARGETS[0], one.images, None)
    assert lengths(judged, judged, judged._replace(threshold=0.5)) == [2, 1]
    files = one._replace(images=ImageFiles([b"file"]))
    assert lengths(files, files) == [1, 1]


def test_large_images_run_apart() -> None:
    largest = EncodeCall(TARGETS[0], RawPixels(bytes(MOST_IMAGE_BYTES), 256, 256, 1))
    larger = EncodeCall(TARGETS[0], RawPixels(bytes(257 * 256), 257, 256, 1))
    assert lengths(largest, largest) == [2]
    assert lengths(larger, larger) == [1, 1]


def test_what_cannot_be_used_runs_alone_so_that_no_rows_move_to_a_neighbour() -> None:
    good = encoding(1)
    assert isinstance(good.images, RawPixels)
    half = good._replace(images=good.images._replace(data=bytes(6)))
    assert lengths(good, half, half, good) == [1, 1, 1, 1]
    empty = good._replace(images=good.images._replace(data=b""))
    assert lengths(empty, empty) == [1, 1]
    error = InvalidInput("images", "missing")
    assert lengths(good, good, error, error, good) == [2, 1, 1, 1]
    assert lengths() == []


def test_no_more_run_together_than_their_model_allows() -> None:
    one, other = encoding(1), encoding(1)._replace(target=TARGETS[1])
    most = {TARGETS[0]: 3, TARGETS[1]: 0}
    calls = [one] * 7 + [other] * 2 + [encoding(4)] * 2
    counts = [count_of(call) for call in calls]
    assert list(runs(calls, counts, lambda call: most[call.target])) == [3, 3, 1, 1, 1, 1, 1]
