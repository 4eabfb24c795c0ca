"""Pictures: many images at once as PNG files, histograms as paths of SVG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]

_PAPER = 255


def grid(images: UInt8 | Sequence[UInt8], columns: int, *, scale: int = 1, gap: int = 2) -> UInt8:
    """Lay images out in rows.

    Args:
        images: uint8 [N, H, W, C] with C 1 or 3, N ≥ 1.
        columns: Images in a row, ≥ 1.
        scale: Whole-number enlargement.
        gap: White pixels between images.

    Returns:
        uint8 [H', W', 3].
    """
    tiles = np.asarray(images, np.uint8)
    tiles = np.repeat(tiles, 3, axis=-1) if tiles.shape[-1] == 1 else tiles
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = tiles.shape
    rows = -(-count // columns)
    page = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 3), _PAPER, np.uint8
    )
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        page[top : top + height, left : left + width] = tile
    return page


def save_png(path: Path, image: UInt8) -> None:
    """Write uint8 [H, W, 3] as a PNG file, making its folder where needed.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG", optimize=True)


def histogram_path(counts: Sequence[int], width: float, height: float) -> str:
    """The outline of a histogram that fills a box, as an SVG path."""
    step, most = width / len(counts), max(*counts, 1)
    corners = [f"M0 {height:g}"]
    for place, count in enumerate(counts):
        y = height * (1 - count / most)
        corners.append(f"V{y:.4g}H{step * (place + 1):.4g}")
    return "".join([*corners, f"V{height:g}Z"])
