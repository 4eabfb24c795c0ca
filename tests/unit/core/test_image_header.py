"""Sizes of image files from their headers alone."""

import io
import struct
import zlib

import numpy as np
import pytest
from evenface_core.image_header import is_plain, pixels_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

_KINDS: list[tuple[str, dict[str, object]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"exif": b"Exif\0\0" + bytes(5000)}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
]


def file(width: int, height: int, kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Make a chunk of PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("kind", "options"), _KINDS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (178, 218), (700, 300)])
def test_the_size_is_that_of_the_image(
    kind: str, options: dict[str, object], width: int, height: int
) -> None:
    assert pixels_of(file(width, height, kind, **options)) == width * height


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_that_ends_in_its_header_has_no_size(kind: str) -> None:
    assert pixels_of(file(5, 5, kind)[:12]) is None


@given(st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP"]), st.binary())
def test_any_bytes_have_a_size_or_none(start: bytes, rest: bytes) -> None:
    found = pixels_of(start + rest)
    assert found is None or found > 0


def test_a_header_behind_many_others_is_not_looked_for() -> None:
    photo = file(5, 5, "JPEG")
    assert pixels_of(photo[:2] + b"\xff\xe0\0\2" * 60 + photo[2:]) == 25
    assert pixels_of(photo[:2] + b"\xff\xe0\0\2" * 1_000_000 + photo[2:]) is None


def before(kind: bytes, data: bytes, photo: bytes) -> bytes:
    """Put a chunk before all others of a PNG file."""
    return photo[:8] + chunk(kind, data) + photo[8:]


def size_chunk(width: int, height: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def test_a_header_that_is_not_the_first_is_not_believed() -> None:
    photo = before(b"tIME", size_chunk(1, 1), file(300, 300, "PNG"))
    assert Image.open(io.BytesIO(photo)).size == (300, 300)
    assert pixels_of(photo) is None


@pytest.mark.parametrize(("kind", "options"), _KINDS)
def test_files_as_they_are_mostly_made_are_plain(kind: str, options: dict[str, object]) -> None:
    assert is_plain(file(30, 20, kind, **options)) == (not {"progressive", "exif"} & set(options))


@pytest.mark.parametrize("piece", [chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", b"")])
def test_few_pieces_of_png_are_plain_and_many_are_not(piece: bytes) -> None:
    photo = file(5, 5, "PNG")
    for count, expected in ((1, True), (12, True), (20, False), (2000, False)):
        assert is_plain(photo[:33] + piece * count + photo[33:]) == expected
    assert not is_plain(photo[:33] + chunk(b"eXIf", bytes(5000)) + photo[33:])


def test_a_scan_behind_many_pieces_of_jpeg_is_not_plain() -> None:
    photo = file(5, 5, "JPEG")
    for count, expected in ((1, True), (40, True), (100, False)):
        assert is_plain(photo[:2] + b"\xff\xfe\0\2" * count + photo[2:]) == expected


def test_a_second_header_that_counts_in_place_of_the_first_is_not_plain() -> None:
    photo = before(b"IHDR", size_chunk(1, 1), file(300, 300, "PNG"))
    assert Image.open(io.BytesIO(photo)).size == (300, 300)
    assert pixels_of(photo) == 1
    assert not is_plain(photo)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_what_has_to_be_inflated_besides_the_image_is_not_plain(kind: bytes) -> None:
    data = b"a\0\0" + zlib.compress(bytes(1000))
    assert not is_plain(before(kind, data, file(5, 5, "PNG")))
