"""Heads of animals: fur, ears, a muzzle; as cats, dogs and bears have them."""

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.head import shade
from evenface_training.synthetic.noise import noise
from evenface_training.synthetic.palette import IRIS, WHITE
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.shapes import ellipse, step
from evenface_training.synthetic.views import EVERYWHERE, View, head_view

_NOSE = np.array([0.10, 0.07, 0.07], np.float32)[None, :, None, None]
_YELLOW = np.array([0.82, 0.66, 0.22], np.float32)[None, :, None, None]
_EARS = 3  # pointed, round, hanging


def draw_animals(canvas: Canvas, scene: Scene) -> None:
    """Draw them, from shoulders to ears."""
    kind = (scene["dice 0"][:, 0, 0] * _EARS).astype(np.int64)
    for code in range(_EARS):
        some = scene.take(np.flatnonzero(kind == code))
        if len(some.rows):
            with head_view(canvas, some, -1.6, EVERYWHERE) as view:
                _draw_animal(view, some, code)


def _draw_animal(view: View, scene: Scene, ears: int) -> None:
    furs = 0.65 + 0.7 * noise("streak", view.patch, scene.offsets)
    lit = shade(view.x * np.float32(0.9), view.y * np.float32(0.9), scene) * furs
    fur = scene.colors["fur"] * lit[:, None]
    body = ellipse(view.x, view.y - np.float32(1.75), 1.05, 1.0)
    view.fill(fur * np.float32(0.8), body)
    if ears != _EARS - 1:
        _draw_ears(view, scene, fur, ears)
    wide, high = 0.78 + 0.2 * scene["dice 1"], 0.72 + 0.18 * scene["dice 2"]
    view.fill(fur, ellipse(view.x, view.y, wide, high))
    if ears == _EARS - 1:
        _draw_ears(view, scene, fur, ears)
    _draw_marks(view, scene, lit, wide, high)
    x = np.float32(0.45) * scene["yaw sin"]
    _draw_muzzle(View(view.patch, view.x - x, view.y, view.pixel), scene, lit)
    _draw_eyes(View(view.patch, view.x - np.float32(0.7) * x, view.y, view.pixel), scene)


def _draw_ears(view: View, scene: Scene, fur: Float32, ears: int) -> None:
    x, y = np.abs(view.x), view.y
    inner = scene.colors["skin"] * np.float32(0.8)
    if ears == 0:
        high = 1.05 + 0.35 * scene["dice 3"]
        for grow, color in ((0.0, fur), (0.11, inner)):
            side = np.abs(x - 0.52) - (0.30 - grow) * (y + high - grow) / (high - np.float32(0.35))
            view.fill(color, np.maximum(side * np.float32(0.85), y + np.float32(0.25)))
    elif ears == 1:
        size = 0.24 + 0.14 * scene["dice 3"]
        view.fill(fur, ellipse(x - np.float32(0.66), y + np.float32(0.66), size, size))
        small = size - np.float32(0.11)
        view.fill(inner, ellipse(x - np.float32(0.66), y + np.float32(0.64), small, small))
    else:
        long = 0.45 + 0.25 * scene["dice 3"]
        hanging = ellipse(x - np.float32(0.86), y - 0.35 * long, 0.24, long)
        view.fill(fur * np.float32(0.62), hanging)


def _draw_marks(view: View, scene: Scene, lit: Float32, wide: Float32, high: Float32) -> None:
    """Draw a blaze between the eyes of some, a patch around one eye of others."""
    pale = (scene.colors["fur"] * np.float32(0.4) + np.float32(0.55)) * lit[:, None]
    inside = 1 - step(ellipse(view.x, view.y, wide, high), -0.08, 0.0)
    blaze = np.abs(view.x) - np.float32(0.14) - np.float32(0.15) * np.maximum(view.y, 0)
    view.fill(pale, blaze, inside * (scene["dice 4"] < np.float32(0.35)))
    patch = ellipse(view.x - np.float32(0.36), view.y + np.float32(0.1), 0.3, 0.34)
    dark = scene.colors["fur"] * np.float32(0.4)
    view.fill(dark, patch, inside * (scene["dice 4"] > np.float32(0.7)))


def _draw_muzzle(view: View, scene: Scene, lit: Float32) -> None:
    pale = scene.colors["fur"] * np.float32(0.5) + np.float32(0.42)
    x, y = view.x, view.y - np.float32(0.36)
    size = 0.36 + 0.14 * scene["dice 5"]
    view.fill(pale * lit[:, None], ellipse(x, y, size, 0.82 * size))
    view.fill(_NOSE, ellipse(x, y + np.float32(0.17), 0.16, 0.105))
    view.fill(np.ones_like(_NOSE) * np.float32(0.55), ellipse(x, y + 0.205, 0.06, 0.02), 0.6)
    line = np.maximum(np.abs(x) - np.float32(0.018), np.abs(y) - np.float32(0.12))
    view.fill(_NOSE, line)
    smile = np.abs(ellipse(np.abs(x) - np.float32(0.13), y - 0.10, 0.13, 0.10)) - 0.02
    view.fill(_NOSE, np.maximum(smile, np.float32(0.10) - y))


def _draw_eyes(view: View, scene: Scene) -> None:
    x, y = np.abs(view.x) - np.float32(0.36), view.y + np.float32(0.13)
    size = 0.10 + 0.05 * scene["dice 6"]
    ring = np.where(scene["dice 7"][:, None] < 0.5, _YELLOW, IRIS[0][None, :, None, None])  # noqa: PLR2004
    view.fill(_NOSE, ellipse(x, y, size + np.float32(0.03), size + np.float32(0.02)))
    view.fill(ring.astype(np.float32), ellipse(x, y, size, size))
    slit = 0.25 + 0.45 * scene["dice 1"]
    view.fill(_NOSE, ellipse(x, y, slit * size, size * np.float32(0.85)))
    spark = ellipse(view.x - np.float32(0.33), y + np.float32(0.04), 0.03, 0.03)
    other = ellipse(view.x + np.float32(0.39), y + np.float32(0.04), 0.03, 0.03)
    view.fill(WHITE, np.minimum(spark, other), 0.9)
