"""The images that callers may pass."""

import io
from pathlib import Path

import numpy as np
import pytest
from evenface_client import ImageSource, InvalidRequest
from evenface_client._inputs import Item, coerce, each_source
from PIL import Image


def only(source: object) -> Item:
    (item,) = coerce(source, 0)
    return item


def test_an_array_travels_as_its_pixels_in_c_order() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    item = only(pixels)
    assert (bytes(item.data), item.shape) == (pixels.tobytes(), (2, 3, 3))


def test_a_transposed_or_strided_array_is_laid_out_anew() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for view in (pixels[::2, ::-1], pixels.transpose(1, 0, 2), pixels[:1, :1, ::-1]):
        assert bytes(only(view).data) == view.copy().tobytes()


def test_a_batch_becomes_one_item_an_image() -> None:
    batch = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2, 1)
    items = coerce(batch, 0)
    assert [bytes(item.data) for item in items] == [image.tobytes() for image in batch]
    assert {item.shape for item in items} == {(2, 2, 1)}


def test_a_file_is_sent_as_it_is_and_remembered_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"whatever is in there")
    for source in (path, str(path)):
        assert only(source) == Item(b"whatever is in there", None, str(path))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_bytes_of_a_file_are_sent_as_they_are(kind: type) -> None:
    assert only(kind(b"file")) == Item(b"file")


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("CMYK", 3), ("HSV", 3)])
def test_a_pillow_image_without_transparency_travels_as_pixels(mode: str, channels: int) -> None:
    item = only(Image.new("RGB", (4, 2), (10, 20, 30)).convert(mode))
    assert item.shape == (2, 4, channels)


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1", "I;16"])
def test_a_pillow_image_that_pixels_cannot_show_travels_as_png(mode: str) -> None:
    item = only(Image.new(mode, (4, 2)))
    assert item.shape is None
    assert Image.open(io.BytesIO(item.data)).mode in (mode, "I;16", "P", "1", "LA")


def test_the_orientation_of_a_pillow_image_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    image.getexif()[0x0112] = 6  # rotated by a quarter
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=image.getexif())
    assert only(Image.open(buffer)).shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (np.zeros((2, 2, 3), np.float32), "dtype float32; pass uint8"),
        (np.zeros((2, 2), np.uint8), r"shape \(2, 2\) is neither"),
        (np.zeros((2, 2, 4), np.uint8), r"shape \(2, 2, 4\) is neither"),
        (np.zeros((0, 2, 3), np.uint8), r"shape \(0, 2, 3\) is neither"),
        (b"", "empty image"),
        (3.5, "float is not an image"),
        (None, "NoneType is not an image"),
    ],
)
def test_what_is_no_image_is_refused_with_its_number(source: object, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^images\[4\]: {problem}") as caught:
        coerce(source, 4)
    assert (caught.value.field, caught.value.index, caught.value.code) == ("images", 4, None)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    with pytest.raises(InvalidRequest) as caught:
        coerce(path, 2)
    assert str(caught.value) == f"images[2] ({path}): No such file or directory"
    assert caught.value.source == str(path)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(InvalidRequest, match=r"empty\.png\): empty image"):
        coerce(path, 0)


def test_one_image_is_told_from_many(tmp_path: Path) -> None:
    one: list[ImageSource] = [
        np.zeros((2, 2, 3), np.uint8),
        str(tmp_path),
        tmp_path,
        b"x",
        Image.new("L", (1, 1)),
    ]
    for source in one:
        assert len(list(each_source(source))) == 1
    assert list(each_source(iter([b"a", b"b"]))) == [b"a", b"b"]
    with pytest.raises(InvalidRequest, match="int is not an image"):
        list(each_source(3))  # type: ignore[arg-type]


def test_a_png_of_a_pillow_image_holds_the_same_pixels() -> None:
    image = Image.new("RGBA", (3, 3), (1, 2, 3, 128))
    assert Image.open(io.BytesIO(only(image).data)).tobytes() == image.tobytes()
