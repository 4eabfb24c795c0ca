"""The lab's HDF5 file: faces and non-faces, BGR."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources.hdf5 import Hdf5Source
from support.datasets import RED
from support.training_data import both_rows

ConfigMaker = Callable[..., TrainingConfig]
BothMaker = Callable[..., TrainingConfig]


def pixels(count: int, size: int = 32) -> Any:  # noqa: ANN401 - an array
    rng = np.random.default_rng(3)
    images = rng.integers(0, 255, (count, size, size, 3), np.uint8)
    images[:, :4] = RED
    return images


def write_hdf5(path: Path, count: int = 40, **options: Any) -> Path:  # noqa: ANN401 - h5py's
    """The lab's file: BGR, one label an image, every third no face."""
    labels = (np.arange(count) % 3 != 0).astype(np.float32)[:, None]
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=pixels(count)[..., ::-1], **options)
        file.create_dataset("labels", data=labels)
    return path


@pytest.mark.parametrize("options", [{}, {"chunks": (7, 16, 16, 3), "compression": "gzip"}])
def test_the_lab_s_file_gives_faces_and_non_faces_in_rgb(
    both_of: BothMaker, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write_hdf5(tmp_path / "train_face.h5", **options)
    data = load_data(both_of({"kind": "hdf5", "path": path}))
    np.testing.assert_array_equal(data.faces.images, pixels(40))
    faces, others = both_rows(data)
    assert others == set(range(0, 40, 3))
    assert faces == set(range(40)) - others
    assert tuple(data.faces.images[5][0, 0]) == RED


def test_an_hdf5_file_in_rgb_is_taken_as_it_is(both_of: BothMaker, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "rgb.h5")
    data = load_data(both_of({"kind": "hdf5", "path": path, "channel_order": "rgb"}))
    assert tuple(data.faces.images[5][0, 0]) == RED[::-1]
    other = load_data(both_of({"kind": "hdf5", "path": path}))
    assert other.faces.source.listing != data.faces.source.listing


def test_a_vae_learns_from_the_faces_of_a_source_of_both(
    make_config: ConfigMaker, tmp_path: Path
) -> None:
    path = write_hdf5(tmp_path / "train_face.h5")
    none: dict[str, object] = {"faces": None, "nonfaces": None, "labels": None, "group_columns": []}
    source = {"kind": "hdf5", "path": path}
    data = load_data(make_config(model={"kind": "vae"}, data={**none, "source": source}))
    assert data.nonfaces is None
    assert len(data.faces.train) + len(data.faces.validation) == 26


def test_an_hdf5_file_is_read_chunk_by_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hdf5(tmp_path / "train_face.h5", 200, chunks=(10, 32, 32, 3))
    source, read = Hdf5Source(path), []
    original = Hdf5Source._read  # noqa: SLF001 - counted

    def counting(self: Hdf5Source, images: Any, labels: Any, part: slice) -> tuple[Any, Any]:  # noqa: ANN401
        read.append(part.stop)
        return original(self, images, labels, part)

    monkeypatch.setattr(Hdf5Source, "_read", counting)
    items = source.items()
    assert [next(items).name for _ in range(11)][-1] == "00000010"
    assert read == [10, 20]


@pytest.mark.parametrize(
    ("stored", "told", "message"),
    [
        (None, np.ones(3), "no data set 'images'; it has labels"),
        (pixels(3), None, "no data set 'labels'; it has images"),
        (pixels(3) / 255, np.ones(3), r"'images' is float64 \[3, 32, 32, 3\]; it must be uint8"),
        (pixels(3)[..., 0], np.ones(3), r"'images' is uint8 \[3, 32, 32\]"),
        (pixels(3), np.ones(2), r"'labels' is float64 \[2\]; it must be one number for each of 3"),
        (pixels(3), np.ones((3, 2)), r"'labels' is float64 \[3, 2\]"),
    ],
)
def test_an_hdf5_file_of_other_contents_is_an_error(
    both_of: BothMaker, tmp_path: Path, stored: object, told: object, message: str
) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        for name, values in (("images", stored), ("labels", told)):
            if values is not None:
                file[name] = values
    with pytest.raises(DataError, match=message):
        load_data(both_of({"kind": "hdf5", "path": path}))


@pytest.mark.parametrize("left", [0, 100, 30_000])
def test_a_cut_hdf5_file_is_an_error_and_leaves_nothing_in_the_cache(
    both_of: BothMaker, tmp_path: Path, left: int
) -> None:
    path = write_hdf5(tmp_path / "cut.h5")
    path.write_bytes(path.read_bytes()[:left])
    config = both_of({"kind": "hdf5", "path": path})
    with pytest.raises(DataError, match=r"cut\.h5: cut, damaged or no HDF5 file"):
        load_data(config)
    assert not config.data.cache.exists() or not list(config.data.cache.iterdir())


def test_a_missing_file_is_named(both_of: BothMaker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file"):
        load_data(both_of({"kind": "hdf5", "path": tmp_path / "nowhere"}))


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    both_of: BothMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"needs h5py: pip install 'evenface\[hdf5\]'"):
        load_data(both_of({"kind": "hdf5", "path": tmp_path / "file"}))
