"""Images of a run: decoding, cache, broken files, labels and split, with folders as the source."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError, TrainingError
from evenface_core.images import Preprocessing, load_image
from evenface_training.config import TrainingConfig
from evenface_training.data import SplitImages, load_data
from evenface_training.files import replacing
from evenface_training.run_folder import RunFolder
from evenface_training.sources import decoding
from evenface_training.sources.cache import DecodedImages, open_images
from evenface_training.sources.folders import FolderSource
from evenface_training.sources.source import Item
from evenface_training.split import held_out

ConfigMaker = Callable[..., TrainingConfig]


def open_faces(config: TrainingConfig) -> DecodedImages:
    assert isinstance(config.data.faces, Path)
    return open_images(FolderSource(config.data.faces), config.preprocessing, config.data.cache)


def held_out_files(part: SplitImages) -> set[str]:
    return {part.source.files[row] for row in part.validation}


def test_images_are_decoded_as_the_server_decodes_them(make_config: ConfigMaker) -> None:
    config = make_config()
    folder = open_faces(config)
    assert folder.images.shape == (48, 32, 32, 3)
    for row in (0, 17, 47):
        data = (folder.path / folder.files[row]).read_bytes()
        np.testing.assert_array_equal(folder.images[row], load_image(data, config.preprocessing))


def test_a_second_run_decodes_nothing(
    make_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    first = load_data(config)

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(decoding, "load_image", refuse)
    second = load_data(config)
    assert second.digest == first.digest
    np.testing.assert_array_equal(second.faces.images, first.faces.images)


@pytest.mark.parametrize("change", ["added", "rewritten", "touched", "other size"])
def test_any_change_of_the_folder_or_its_preprocessing_decodes_anew(
    make_config: ConfigMaker, change: str
) -> None:
    config = make_config()
    first = open_faces(config)
    file = first.path / "000.png"
    if change == "added":
        (first.path / "new.png").write_bytes(file.read_bytes())
    if change == "rewritten":
        file.write_bytes((first.path / "001.png").read_bytes())
    if change == "touched":
        os.utime(file, ns=(1, 1))
    if change == "other size":
        config = make_config(model={"image_size": 16})
    second = open_faces(config)
    assert second.listing != first.listing
    assert (second.digest == first.digest) == (change == "touched")


@pytest.mark.parametrize("left", [0, 50, 1000])
def test_a_damaged_cache_is_made_anew(make_config: ConfigMaker, left: int) -> None:
    config = make_config()
    first = open_faces(config)
    array = first.listing.with_suffix(".npy")
    array.write_bytes(array.read_bytes()[:left])
    second = open_faces(config)
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
        open_faces(config)
    assert not list(config.data.cache.iterdir())


class CountedSource:
    """A million images, counted as they are read."""

    path = Path("endless")

    def __init__(self) -> None:
        self.read = 0

    def fingerprint(self) -> str:
        return "endless"

    def count(self) -> int:
        return 10**6

    def items(self) -> Iterator[Item]:
        for number in range(self.count()):
            self.read += 1
            yield Item(f"{number}.png", b"broken")


def test_a_source_is_read_no_further_ahead_of_the_disk_than_a_few_tasks_a_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    source = CountedSource()
    decoded = decoding.decode_all(source, source.items(), Preprocessing(size=16))
    for number in range(200):
        assert next(decoded)[0].name == f"{number}.png"
        assert source.read - number <= 8 * 2 * 2 + 8
    assert source.read < 300


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
    (broken,) = data.faces.source.broken
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
    assert odd.name in load_data(config).faces.source.files
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
    folder = data.faces.source
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
        return held_out_files(load_data(make_config()).faces)

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
    assert data.labels["tone"][data.faces.source.files.index("012.png")] == "blue"


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
