"""Image folders: decoding, cache, broken files, labels and split."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError, TrainingError
from evenface_core.images import Preprocessing, load_image
from evenface_training import folders
from evenface_training.config import TrainingConfig
from evenface_training.data import held_out, load_data
from evenface_training.files import replacing
from evenface_training.folders import open_folder
from evenface_training.run_folder import RunFolder

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


@pytest.mark.parametrize("left", [0, 50, 1000])
def test_a_damaged_cache_is_made_anew(make_config: ConfigMaker, left: int) -> None:
    config = make_config()
    first = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    array = first.listing.with_suffix(".npy")
    array.write_bytes(array.read_bytes()[:left])
    second = open_folder(config.data.faces, config.preprocessing, config.data.cache)
    assert second.digest == first.digest
    assert len(second.images) == 48


def test_pixels_reach_the_disk_before_the_listing_that_makes_them_valid(
    make_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    config = make_config()
    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(TrainingError, match=r"cannot write .*\.npy: No space left"):
        open_folder(config.data.faces, config.preprocessing, config.data.cache)
    assert not list(config.data.cache.iterdir())


def test_decoding_does_not_run_far_ahead_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[str] = []

    def note(path: Path, _: object) -> str:
        begun.append(path.name)
        return "broken"

    monkeypatch.setattr(folders, "_decode_one", note)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    names = [f"{number}.png" for number in range(1000)]
    decoded = folders._decode_all(tmp_path, names, Preprocessing(size=16))  # noqa: SLF001
    assert next(decoded) == ("0.png", "broken")
    time.sleep(0.2)
    assert len(begun) < 100
    assert [name for name, _ in decoded] == names[1:]


def test_a_file_too_large_to_be_an_image_is_not_read(
    make_config: ConfigMaker, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = images / "face" / "000.png"
    with huge.open("wb") as file:
        file.truncate(30 * 2**20)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        assert path != huge
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    data = load_data(make_config(data={"max_broken_fraction": 0.1}))
    (broken,) = data.faces.folder.broken
    assert (broken.file, broken.problem) == ("000.png", "31457280 bytes; limit 20971520")


def test_names_that_are_no_utf_8_are_images_like_others(
    make_config: ConfigMaker, images: Path, tmp_path: Path
) -> None:
    odd = images / "face" / os.fsdecode(b"caf\xe9.png")
    try:
        (images / "face" / "000.png").rename(odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    config = make_config(data={"max_broken_fraction": 0.1})
    assert odd.name in load_data(config).faces.folder.files
    odd.write_bytes(b"broken")
    run = RunFolder.create(tmp_path / "run")
    run.describe(config, load_data(config))
    assert b"caf\xe9.png\t" in (run.path / "broken-files.txt").read_bytes()


def test_two_writers_of_one_file_do_not_share_a_scratch_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)  # as in each of two containers
    with replacing(tmp_path / "x") as one, replacing(tmp_path / "x") as other:
        assert one != other
        one.touch()
        other.touch()


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
        (
            lambda path: path.mkdir() or (path / "a.png").write_bytes(b"x"),
            "not one of 1 .*a.png: not a JPEG",
        ),
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


def test_empty_lines_of_a_spreadsheet_and_its_byte_order_mark_do_no_harm(
    make_config: ConfigMaker, images: Path
) -> None:
    (images / "labels.csv").write_text("\ufefffile,tone,\n face/001.png ,a,\n,,\n,,\n\n")
    groups = load_data(make_config()).groups(np.arange(48))
    assert {name: int(members.sum()) for name, members in groups.items()} == {"tone=a": 1}


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
        ("file,tone,tone\nface/001.png,a,b\n", "two columns 'tone'"),
        ("tone,file\na,face/001.png\nb\n", "a line without a `file`: b"),
        ("file,note,tone\nface/001.png,Oslo, 1913,a\n", "001.png has more cells than there are"),
        ("", "no column 'file'; it has none"),
    ],
)
def test_labels_that_cannot_be_joined_are_an_error(
    make_config: ConfigMaker, images: Path, text: str, message: str
) -> None:
    (images / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_data(make_config())
