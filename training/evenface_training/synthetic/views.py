"""Patches seen in the coordinates of a head, of one of its features, or of the body below it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas, Patch
from evenface_training.synthetic.scene import ACROSS, MIDDLE, SCALE, Part, Scene
from evenface_training.synthetic.shapes import cover

EVERYWHERE = 9.0  # further from a head than any pixel


@dataclass(frozen=True)
class View:
    """A patch with coordinates of its own.

    Attributes:
        patch: What is drawn on.
        x: float32, broadcasts to [M, H, W]: across.
        y: The same downwards.
        pixel: Width of a pixel in these coordinates, float32 [M, 1, 1].
    """

    patch: Patch
    x: Float32
    y: Float32
    pixel: Float32

    def fill(
        self, color: Float32, distance: Float32, opacity: Float32 | float | None = None
    ) -> None:
        """Paint the inside of a shape, given its signed distance, with smooth edges."""
        alpha = cover(distance, self.pixel)
        if opacity is not None:
            alpha *= opacity
        self.patch.paint(color, alpha)


def _first_line(canvas: Canvas, height: float) -> int:
    """The highest line of pixels on which any scene's head may have this height.

    It follows from the limits of all scenes, not from those that happen to be drawn together: so
    nothing in an image depends on the others.
    """
    scale = SCALE[0] - np.sign(height) * SCALE[1]
    return _line(canvas, MIDDLE[0] - MIDDLE[1] + scale * height)


def _last_line(canvas: Canvas, height: float) -> int:
    """As `_first_line`: the lowest one."""
    scale = SCALE[0] + np.sign(height) * SCALE[1]
    return _line(canvas, MIDDLE[0] + MIDDLE[1] + scale * height) + 1


def _line(canvas: Canvas, y: float) -> int:
    return int(np.clip(np.floor((y + 1) * canvas.size / 2), 0, canvas.size - 1))


def _columns(canvas: Canvas, reach: float) -> slice:
    """The columns within so many head units of any scene's head."""
    half = ACROSS[1] + reach * sum(SCALE)
    return slice(_line(canvas, ACROSS[0] - half), _line(canvas, ACROSS[0] + half) + 1)


@contextmanager
def head_view(
    canvas: Canvas, scene: Scene, top: float, bottom: float, reach: float = EVERYWHERE
) -> Iterator[View]:
    """Lend what may lie between two heights of (tilted) heads, so far from their middles."""
    first = _first_line(canvas, top - scene.slope)
    lines = slice(first, _last_line(canvas, bottom + scene.slope))
    with canvas.window(scene.rows, lines, _columns(canvas, reach)) as patch:
        across, down = patch.x - scene["x"], patch.y - scene["y"]
        cos, sin = scene["cos"] / scene["scale"], scene["sin"] / scene["scale"]
        yield View(
            patch,
            across * cos + down * sin,
            down * cos - across * sin,
            patch.pixel / scene["scale"],
        )


@contextmanager
def body_view(
    canvas: Canvas, scene: Scene, top: float, reach: float = EVERYWHERE
) -> Iterator[View]:
    """Lend what lies below a height of the heads, so far from their middles, upright."""
    lines = slice(_first_line(canvas, top), canvas.size)
    with canvas.window(scene.rows, lines, _columns(canvas, reach)) as patch:
        across, down = patch.x - scene["x"], patch.y - scene["y"]
        scale = scene["scale"]
        yield View(patch, across / scale, down / scale, patch.pixel / scale)


@contextmanager
def part_view(canvas: Canvas, scene: Scene, part: Part, reach: float) -> Iterator[View]:
    """Lend the surroundings of a feature, its middle at the origin, as if seen from the front."""
    cos, sin, scale = scene["cos"], scene["sin"], scene["scale"]
    x = scene["x"] + scale * (part.x * cos - part.y * sin)
    y = scene["y"] + scale * (part.x * sin + part.y * cos)
    with canvas.patch(scene.rows, x, y, reach * sum(SCALE)) as patch:
        # Tilt of the head and turn of the part, added.
        turn_cos = cos * part.cos - sin * part.sin
        turn_sin = sin * part.cos + cos * part.sin
        across, down = (patch.x - x) / scale, (patch.y - y) / scale
        yield View(
            patch,
            (across * turn_cos + down * turn_sin) / part.squeeze,
            down * turn_cos - across * turn_sin,
            patch.pixel / scale,
        )
