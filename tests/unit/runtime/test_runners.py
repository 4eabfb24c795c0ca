"""Batches in buckets, with the CPU in a GPU's place: same sessions, same buffers, same bindings."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evenface_core.bundle import open_bundle
from evenface_core.manifest import FunctionName
from evenface_runtime.buffers import plain_memory
from evenface_runtime.device import GpuOptions
from evenface_runtime.runners import BucketRunner, PlainRunner, bucket_sizes
from evenface_runtime.sessions import open_session
from evenface_runtime.signature import signature_of
from numpy.typing import NDArray
from support.bundles import LATENT, Tiny, expected_mean, images, write_tiny_bundle

Array = NDArray[Any]

# With graphs, sessions read and write on the device, else on the host.
graphs = pytest.mark.parametrize("graphs", [False, True], ids=["host", "device"])


def _runners(
    folder: Path, function: FunctionName, *, max_rows: int, graphs: bool
) -> tuple[PlainRunner, BucketRunner]:
    bundle = open_bundle(write_tiny_bundle(folder, Tiny(conditions=("beard",))))
    name = bundle.manifest.functions[function].graph
    digest = bundle.manifest.files[name].sha256
    session = open_session(bundle.read(name), name, digest, "cpu", 1, GpuOptions())
    signature = signature_of(bundle.manifest, function)
    return PlainRunner(session, signature), BucketRunner(
        session, signature, max_rows=max_rows, memory=plain_memory(), graphs=graphs
    )


def _inputs(function: FunctionName, rows: int, seed: int) -> tuple[Array, ...]:
    if function != "decode":
        return (images(rows, seed=seed),)
    rng = np.random.default_rng(seed)
    shapes = ((rows, LATENT), (rows, 1))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])],
)
def test_buckets_are_the_powers_of_two_and_the_largest_batch(most: int, sizes: list[int]) -> None:
    assert bucket_sizes(most) == sizes


@graphs
@pytest.mark.parametrize("function", ["encode", "decode", "classify"])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 13, 19])
def test_padded_rows_are_what_they_are_without_padding_to_the_last_bit(
    tmp_path: Path, function: FunctionName, rows: int, *, graphs: bool
) -> None:
    plain, buckets = _runners(tmp_path, function, max_rows=6, graphs=graphs)
    buckets.run(_inputs(function, 6, seed=9))  # what it leaves behind must not matter
    inputs = _inputs(function, rows, seed=rows)
    found = buckets.run(inputs)
    # The batches that it makes of more rows than it has room for.
    parts = [
        plain.run(tuple(array[start : start + 6] for array in inputs))
        for start in range(0, rows, 6)
    ]
    for got, *wanted in zip(found, *parts, strict=True):
        np.testing.assert_array_equal(got, np.concatenate(wanted))


@graphs
def test_what_a_run_returned_is_left_alone_by_the_next(tmp_path: Path, *, graphs: bool) -> None:
    _, buckets = _runners(tmp_path, "encode", max_rows=4, graphs=graphs)
    first, second = images(3, seed=1), images(4, seed=2)
    mean, _ = buckets.run((first,))
    buckets.run((second,))
    np.testing.assert_allclose(mean, expected_mean(first), atol=1e-5)


@graphs
def test_several_threads_share_the_buffers_without_mixing_rows(
    tmp_path: Path, *, graphs: bool
) -> None:
    _, buckets = _runners(tmp_path, "encode", max_rows=8, graphs=graphs)
    batches = [images(rows, seed=rows) for rows in (3, 5, 8, 11)]
    wrong: list[int] = []

    def work(batch: NDArray[np.uint8]) -> None:
        for _ in range(100):
            mean, _ = buckets.run((batch,))
            if not np.allclose(mean, expected_mean(batch), atol=1e-5):
                wrong.append(len(batch))

    threads = [threading.Thread(target=work, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_warming_up_runs_every_bucket_and_keeps_no_trace(tmp_path: Path) -> None:
    _, buckets = _runners(tmp_path, "encode", max_rows=4, graphs=True)
    buckets.warm_up()
    pictures = images(3)
    np.testing.assert_allclose(buckets.run((pictures,))[0], expected_mean(pictures), atol=1e-5)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((2, 16, 16, 1), np.uint8), r"uint8\[2, 16, 16, 1\]"),  # would be broadcast
        (np.zeros((2, 16, 16, 3), np.float32), r"float32\[2, 16, 16, 3\]"),  # would be cast
    ],
)
def test_other_shapes_and_dtypes_are_refused_with_their_name(
    tmp_path: Path, array: Array, found: str
) -> None:
    _, buckets = _runners(tmp_path, "encode", max_rows=4, graphs=False)
    with pytest.raises(ValueError, match=rf"'images' is {found}, expected uint8\[rows, 16, 16, 3"):
        buckets.run((array,))
