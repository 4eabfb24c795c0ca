"""Drawn faces and non-faces on disk, for tests of training and of the whole path."""

from pathlib import Path

import numpy as np
from evenface_core.pictures import save_png
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]

SIZE = 32
_RARE_EVERY = 12


def draw_face(rng: np.random.Generator, *, rare: bool) -> UInt8:
    """An ellipse with two eyes; a rare one is blue."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.full((SIZE, SIZE, 3), rng.integers(150, 220), np.uint8)
    top, left = 16 + rng.integers(-2, 3), 16 + rng.integers(-2, 3)
    skin = (40, 60, 230) if rare else (200, 150, 120)
    image[((y - top) / 12) ** 2 + ((x - left) / 9) ** 2 < 1] = skin
    for side in (-4, 4):
        image[(y - top + 3) ** 2 + (x - left + side) ** 2 < 4] = 20
    return image


def draw_nonface(rng: np.random.Generator) -> UInt8:
    """Coarse noise."""
    blocks = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def write_images(root: Path, *, faces: int = 48, nonfaces: int = 40) -> Path:
    """Fill folders `face` and `nonface`, and `labels.csv` with a column `tone`.

    Every twelfth face is blue, the others plain.
    """
    rng = np.random.default_rng(7)
    lines = ["file,tone"]
    for number in range(faces):
        rare = number % _RARE_EVERY == 0
        save_png(root / "face" / f"{number:03}.png", draw_face(rng, rare=rare))
        lines.append(f"face/{number:03}.png,{'blue' if rare else 'plain'}")
    for number in range(nonfaces):
        save_png(root / "nonface" / f"{number:03}.png", draw_nonface(rng))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root
