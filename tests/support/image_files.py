"""Image files of every troublesome kind."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """The bytes of a saved image."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [H, W, 3] as PNG."""
    return saved(Image.fromarray(pixels), "PNG")


def animated(pixels: NDArray[np.uint8]) -> bytes:
    """Two frames of WebP."""
    frame = Image.fromarray(pixels)
    other = Image.fromarray(255 - pixels)
    return saved(frame, "WEBP", save_all=True, append_images=[other], duration=50)


def rotated(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG stored on its side, with the EXIF orientation (6) that turns it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(np.ascontiguousarray(np.rot90(pixels))), "PNG", exif=exif)


def cmyk(red: int, green: int, blue: int, size: int) -> bytes:
    """A one-coloured CMYK JPEG."""
    image = Image.new("RGB", (size, size), (red, green, blue)).convert("CMYK")
    return saved(image, "JPEG", quality=100)


def sixteen_bit(level: int, size: int) -> bytes:
    """A grey 16-bit PNG of one level, 0 to 65535."""
    return saved(Image.fromarray(np.full((size, size), level, np.uint16)), "PNG")


def bomb(side: int) -> bytes:
    """A PNG that claims side × side pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
