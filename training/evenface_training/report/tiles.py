"""Small pictures that stand in the page itself."""

import base64
import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]

_EDGE = 128
_WIDEST = 1200
_QUALITY = 88


def tile_edge(runs: int) -> int:
    """The longest edge of a tile in pixels: as many pixels for all runs as for one.

    So a page stays below 10 MB, even of noise, which JPEG does not make smaller.
    """
    return int(_EDGE / math.sqrt(runs))


def tile(image: UInt8, edge: int) -> str:
    """An image, uint8 [S, S, C] with C 1 or 3, as a data URL of at most `edge` pixels a side."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((edge, edge))
    return _data_url(picture)


def picture_file(path: Path, runs: int) -> str:
    """A picture of a run's folder as a data URL.

    Args:
        path: A PNG file.
        runs: Runs on the page, which share its size.

    Raises:
        OSError: There is no such picture, or it is damaged.
    """
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    widest = int(_WIDEST * tile_edge(runs) / _EDGE)
    picture.thumbnail((widest, widest))
    return _data_url(picture)


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
