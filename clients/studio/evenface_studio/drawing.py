"""Faces as files that the page shows or keeps: sheets as PNG, walks as GIF.

The largest take a second, so that handlers have them made in threads.
"""

import io

import numpy as np
from aiohttp import web
from evenface_core.pictures import grid
from numpy.typing import NDArray
from PIL import Image

from evenface_studio.told import nonsense

UInt8 = NDArray[np.uint8]

_CHANNELS = (1, 3)
_FRAME_MS = 80
_PAUSE_MS = 800
_KEPT_SIZE = 128  # least pixels of a face in a file that people keep


def kept_scale(images: UInt8) -> int:
    """Whole-number enlargement of faces, uint8 [N, S, S, C], in files that people keep.

    Raises:
        StudioError: As `sheet`.
    """
    _check(images)
    size: int = images.shape[1]
    return max(_KEPT_SIZE // size, 1)


def sheet(images: UInt8, columns: int, *, scale: int = 1, gap: int = 0) -> bytes:
    """Lay faces out in rows, as a PNG file.

    Args:
        images: uint8 [N, S, S, C] with C 1 or 3, N ≥ 1.
        columns: Faces in a row.
        scale: Whole-number enlargement.
        gap: White pixels between faces.

    Raises:
        StudioError: There are no pixels, or of other channels, which no service of ours sends.
    """
    _check(images)
    buffer = io.BytesIO()
    picture = Image.fromarray(grid(images, columns, scale=scale, gap=gap))
    picture.save(buffer, "PNG", compress_level=1)  # it travels no further than this machine
    return buffer.getvalue()


def walk(images: UInt8, *, scale: int) -> bytes:
    """There and back again, with a rest at both ends, as an animated GIF file.

    Args:
        images: uint8 [N, S, S, C], N ≥ 2.
        scale: Whole-number enlargement.
    """
    frames = [Image.fromarray(grid(image[None], 1, scale=scale)) for image in images]
    there_and_back = [*frames, *frames[-2:0:-1]]
    pauses = [_FRAME_MS] * len(there_and_back)
    pauses[0] = pauses[len(frames) - 1] = _PAUSE_MS
    buffer = io.BytesIO()
    there_and_back[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=there_and_back[1:],
        duration=pauses,
        loop=0,
    )
    return buffer.getvalue()


def _check(images: UInt8) -> None:
    if not images.size or images.shape[-1] not in _CHANNELS:
        raise nonsense(f"images of shape {images.shape}")


def png(data: bytes) -> web.Response:
    """A reply that the page shows."""
    return web.Response(body=data, content_type="image/png")


def download(data: bytes, name: str) -> web.Response:
    """A reply that the browser keeps as a file; its ending says what it is."""
    return web.Response(
        body=data,
        content_type=f"image/{name.rpartition('.')[2]}",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
