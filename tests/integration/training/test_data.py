"""Image folders: decoding, cache, broken files, labels and split."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError, TrainingError
from evenface_core.images import load_image
from evenface_training import folders
from evenface_training.config import TrainingConfig
from evenface_training.data import held_out, load_data
from evenface_training.folders import open_folder

ConfigMaker = Callable[..., TrainingConfig]


def test_images_are_decoded_as_the_server_decodes_them(make_config: ConfigMaker) -> None:
    config = make_config()
    folder = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    assert folder.images.shape == (48, 32, 32, 3)
    for row in (0, 17, 47):
        data = (config.data.faces / folder.files[row]).read_bytes()
        np.testing.assert_array_equal(folder.images[row], load_image(data, config.preprocessing))


def test_a_second_run_decodes_nothing(
    make_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    first = load_data(config)

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(folders, "load_image", refuse)
    second = load_data(config)
    assert second.digest == first.digest
    np.testing.assert_array_equal(second.faces.images, first.faces.images)


@pytest.mark.parametrize("change", ["added", "rewritten", "touched", "other size"])
def test_any_change_of_the_folder_or_its_preprocessing_decodes_anew(
    make_config: ConfigMaker, change: str
) -> None:
    config = make_config()
    first = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    file = config.data.faces / "000.png"
    if change == "added":
        (config.data.faces / "new.png").write_bytes(file.read_bytes())
    if change == "rewritten":
        file.write_bytes((config.data.faces / "001.png").read_bytes())
    if change == "touched":
        os.utime(file, ns=(1, 1))
    if change == "other size":
        config = make_config(model={"image_size": 16})
    second = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    assert second.listing != first.listing
    assert (second.digest == first.digest) == (change == "touched")


def test_a_damaged_cache_is_made_anew(make_config: ConfigMaker) -> None:
    config = make_config()
    first = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    array = first.listing.with_suffix(".npy")
    array.write_bytes(array.read_bytes()[:1000])
    second = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    assert second.digest == first.digest
    assert len(second.images) == 48


def test_broken_files_are_listed_and_left_out(make_config: ConfigMaker, images: Path) -> None:
    (images / "face" / "010.png").write_bytes(b"no image at all")
    (images / "face" / "020.png").write_bytes((images / "face" / "021.png").read_bytes()[:60])
    data = load_data(make_config(data={"max_broken_fraction": 0.1}))
    folder = data.faces.folder
    assert [item.file for item in folder.broken] == ["010.png", "020.png"]
    assert all(item.problem for item in folder.broken)
    assert len(folder.files) == len(folder.images) == 46
    row = folder.files.index("021.png")
    spec = make_config().preprocessing
    pixels = load_image((images / "face" / "021.png").read_bytes(), spec)
    np.testing.assert_array_equal(folder.images[row], pixels)


def test_too_many_broken_files_are_an_error_with_count_limit_and_first(
    make_config: ConfigMaker, images: Path
) -> None:
    for name in ("030.png", "031.png"):
        (images / "face" / name).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"2 of 48 files are broken.*1\.0%.*first is 030\.png"):
        load_data(make_config())


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda _: None, "no such folder"),
        (lambda path: path.mkdir(), "no JPEG, PNG or WebP files"),
        (lambda path: path.mkdir() or (path / "a.png").write_bytes(b"x"), "not one of 1"),
    ],
)
def test_a_folder_without_images_is_an_error(
    make_config: ConfigMaker, tmp_path: Path, prepare: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "other"
    prepare(folder)
    with pytest.raises(DataError, match=message):
        load_data(make_config(data={"faces": folder}))


def test_a_cache_that_cannot_be_written_is_named(make_config: ConfigMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match=r"cannot write .*file/cache"):
        load_data(make_config(data={"cache": tmp_path / "file" / "cache"}))


def test_adding_files_moves_no_file_to_the_other_part(
    make_config: ConfigMaker, images: Path
) -> None:
    def validation_files() -> set[str]:
        faces = load_data(make_config()).faces
        return {faces.folder.files[row] for row in faces.validation}

    before = validation_files()
    for number in range(20):
        source = (images / "face" / f"{number:03}.png").read_bytes()
        (images / "face" / f"extra-{number}.png").write_bytes(source)
    assert before <= validation_files()
    assert not {file for file in validation_files() - before if not file.startswith("extra")}


def test_the_held_out_share_is_about_as_asked() -> None:
    held = sum(held_out(f"{number}.png", 0.2) for number in range(5000))
    assert 900 < held < 1100


def test_labels_are_joined_by_the_end_of_the_path(make_config: ConfigMaker) -> None:
    data = load_data(make_config())
    groups = data.groups(np.arange(48))
    assert {name: int(members.sum()) for name, members in groups.items()} == {
        "tone=blue": 4,
        "tone=plain": 44,
    }
    assert data.labels["tone"][data.faces.folder.files.index("012.png")] == "blue"


def test_a_file_without_a_line_belongs_to_no_group(make_config: ConfigMaker, images: Path) -> None:
    (images / "labels.csv").write_text("file,tone\nface/001.png,plain\nface/002.png,\n")
    groups = load_data(make_config()).groups(np.arange(48))
    assert {name: int(members.sum()) for name, members in groups.items()} == {"tone=plain": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,age\nface/001.png,3\n", "no column 'tone'"),
        ("name,tone\nface/001.png,3\n", "no column 'file'"),
        ("file,tone\nelsewhere/001.png,3\n", "fits a file"),
        ("file,tone\nface/001.png,a\nface/001.png,b\n", "two lines for face/001.png"),
    ],
)
def test_labels_that_cannot_be_joined_are_an_error(
    make_config: ConfigMaker, images: Path, text: str, message: str
) -> None:
    (images / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_data(make_config())
