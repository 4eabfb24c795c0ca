"""Sizes of image files from their headers alone."""

import io

import numpy as np
import pytest
from evenface_core.image_header import pixels_of
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
