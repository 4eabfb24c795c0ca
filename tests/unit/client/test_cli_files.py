"""The files that the command line writes: whole or not at all."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evenface_client import Histogram
from evenface_client.cli import files
from evenface_client.cli.errors import CommandError

LIMIT = 512  # bytes
ARRAY = np.arange(1000, dtype=np.float32).reshape(10, 100)  # 4,128 bytes as a file
PICTURES = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)
HISTOGRAM = Histogram(np.arange(101.0)[None], np.ones((1, 100), np.int64))
WRITERS: list[tuple[str, Callable[[Path], None]]] = [
    ("x.npy", lambda path: files.write_array(path, ARRAY)),
    ("images.npy", lambda path: files.write_pictures(path, PICTURES)),
    ("x.png", lambda path: files.write_pictures(path, PICTURES)),
    ("x.csv", lambda path: files.write_csv(path, ["file"], [["name"]] * 1000)),
    ("x.npz", lambda path: files.write_histogram(path, HISTOGRAM)),
]


@contextmanager
def small_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_a_full_disk_is_an_error_and_leaves_what_was_there(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"earlier")
    with small_disk(), pytest.raises(CommandError) as caught:
        write(path)
    assert str(caught.value) == f"{path}: File too large"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"earlier"}


@pytest.mark.parametrize("array", [ARRAY, ARRAY.T, ARRAY[:0], PICTURES[:, ::2]])
def test_arrays_are_read_back_as_they_were(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    files.write_array(tmp_path / "x.npy", array)
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_a_file_has_the_name_that_was_asked_for(tmp_path: Path) -> None:
    files.write_array(tmp_path / "X.NPY", ARRAY)
    files.write_histogram(tmp_path / "X.NPZ", HISTOGRAM)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["X.NPY", "X.NPZ"]
    assert files.read_histogram(tmp_path / "X.NPZ").total == HISTOGRAM.total


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    files.write_csv(tmp_path / "link.csv", ["file"], [])
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "file\n"


def test_names_that_are_no_utf_8_keep_their_bytes_in_tables(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "x.csv", ["file"], [["\udcff.png"]])
    assert b"\xff.png" in (tmp_path / "x.csv").read_bytes()
