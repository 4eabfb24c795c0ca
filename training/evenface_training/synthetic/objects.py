"""Clocks, masks and patterns."""

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.head import outline, shade
from evenface_training.synthetic.noise import noise
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.shapes import box, ellipse, glow, segment
from evenface_training.synthetic.views import EVERYWHERE, View, head_view

_INK = np.array([0.10, 0.09, 0.09], np.float32)[None, :, None, None]
_HANDS = ((0.42, 0.050), (0.66, 0.034), (0.72, 0.014))  # length and half the width of each


def _chance(scene: Scene, dice: int, limit: float) -> Float32:
    """1 where a die shows less than `limit`, else 0; float32 [M, 1, 1]."""
    return (scene[f"dice {dice}"] < limit).astype(np.float32)


def _either(first: Float32, second: Float32, share: Float32) -> Float32:
    """Choose between two colours, float32 [M, 3, 1, 1]."""
    chosen: Float32 = first * share[:, None] + second * (1 - share)[:, None]
    return chosen


def draw_clocks(canvas: Canvas, scene: Scene) -> None:
    """Draw round dials, the half of them in the colours of skin, with ticks and hands."""
    with head_view(canvas, scene, -EVERYWHERE, EVERYWHERE) as seen:
        radius = 0.85 + 0.3 * scene["dice 1"]
        x, y = seen.x / radius, seen.y / radius
        view = View(seen.patch, x, y, seen.pixel / radius)
        dial = _either(scene.colors["skin"], scene.colors["trim"], _chance(scene, 0, 0.55))
        lit = shade(x, y, scene)[:, None]
        disc = ellipse(x, y, 1.0, 1.0)
        view.fill(scene.colors["cloth"] * lit, disc)
        view.fill(dial * lit, disc + np.float32(0.10))
        bright = dial.mean(axis=1, keepdims=True) > 0.35  # noqa: PLR2004 - ink shows on it
        ink = np.where(bright, _INK, 1 - _INK)
        _draw_ticks(view, ink)
        _draw_subdials(view, scene, ink)
        for number, (length, width) in enumerate(_HANDS):
            angle = 2 * np.pi * scene[f"dice {3 + number}"].astype(np.float64)
            across, down = ((length * turn(angle)).astype(np.float32) for turn in (np.sin, np.cos))
            view.fill(ink, segment(x, y, across, down, width))
        view.fill(ink, ellipse(x, y, 0.07, 0.07))


def _draw_ticks(view: View, ink: Float32) -> None:
    """Draw twelve ticks, as four in one quadrant of the folded plane."""
    x, y = np.abs(view.x), np.abs(view.y)
    for angle in np.radians([0.0, 30.0, 60.0, 90.0]):
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        tick = segment(x - 0.70 * cos, y - 0.70 * sin, 0.09 * cos, 0.09 * sin, 0.028)
        view.fill(ink, tick)


def _draw_subdials(view: View, scene: Scene, ink: Float32) -> None:
    """Draw two small dials side by side on some, where a face has eyes."""
    shown = _chance(scene, 2, 0.35)
    small = ellipse(np.abs(view.x) - np.float32(0.32), view.y + np.float32(0.18), 0.17, 0.17)
    view.fill(ink, np.abs(small) - np.float32(0.02), shown * np.float32(0.8))


def draw_masks(canvas: Canvas, scene: Scene) -> None:
    """Draw flat or shining masks with holes for eyes and mouth, without ears and hair."""
    with head_view(canvas, scene, -1.3, 1.3) as view:
        across, level = outline(view, scene)
        color = _either(scene.colors["skin"], scene.colors["mask"], _chance(scene, 0, 0.25))
        # Part light, part flat, so that some look like paper and some like lacquer.
        flat = scene["dice 1"]
        lit = flat * np.float32(0.9) + (1 - flat) * shade(across, view.y, scene)
        body = (level - 1) * np.float32(0.8)
        view.fill(color * lit[:, None], body)
        _decorate(view, scene, across, body)
        rim = np.abs(body + np.float32(0.03)) - np.float32(0.03)
        view.fill(scene.colors["trim"], rim, _chance(scene, 2, 0.6))
        hole = scene.colors["back"] * np.float32(0.35)
        eyes = ellipse(np.abs(across) - np.float32(0.42), view.y + np.float32(0.08), 0.20, 0.11)
        view.fill(hole, eyes)
        bend = (scene["dice 3"] - np.float32(0.4)) * np.float32(0.9)
        y = view.y - np.float32(0.55) + bend * across * across
        view.fill(hole, box(across, y, 0.32, 0.03 + 0.06 * scene["dice 4"], 0.03))
        view.fill(color * np.float32(0.62), ellipse(view.x, view.y - 0.25, 0.10, 0.05), 0.7)


def _decorate(view: View, scene: Scene, across: Float32, body: Float32) -> None:
    """Draw stripes, cheeks or a forehead's sign."""
    trim = scene.colors["trim"]
    stripes = np.abs(np.abs(across) - np.float32(0.42)) - np.float32(0.06)
    view.fill(trim, np.maximum(stripes, body + np.float32(0.05)), _chance(scene, 5, 0.3))
    cheeks = glow(np.abs(across) - np.float32(0.48), view.y - np.float32(0.30), 0.28, 0.24)
    red = np.array([0.8, 0.2, 0.2], np.float32)[None, :, None, None]
    view.patch.paint(red, cheeks * _chance(scene, 6, 0.4))
    sign = np.abs(across) + np.abs(view.y + np.float32(0.55)) - np.float32(0.2)
    view.fill(trim, sign * np.float32(0.7), _chance(scene, 7, 0.4))


def draw_textures(canvas: Canvas, scene: Scene) -> None:
    """Fill pictures with stripes, checks, dots, rings or noise, often in the colours of skin."""
    first = _either(scene.colors["skin"], scene.colors["back"], _chance(scene, 0, 0.6))
    second = _either(scene.colors["hair"], scene.colors["other"], _chance(scene, 1, 0.5))
    kind = (scene["dice 2"][:, 0, 0] * 5).astype(np.int64)
    for code, pattern in enumerate((_stripes, _checks, _dots, _rings, _clouds)):
        rows = np.flatnonzero(kind == code)
        some = scene.take(rows)
        if len(rows):
            with head_view(canvas, some, -EVERYWHERE, EVERYWHERE) as view:
                share = pattern(view, some)[:, None]
                view.patch.values[:] = first[rows] + (second - first)[rows] * share


def _wave(value: Float32) -> Float32:
    """A soft-edged triangle wave of period 1, 0 to 1."""
    triangle = np.abs(value - np.floor(value) - np.float32(0.5)) * 2
    return np.minimum(np.maximum(3 * triangle - 1, 0), 1)


def _turned(view: View, scene: Scene) -> tuple[Float32, Float32]:
    cos, sin = scene["slope x"], scene["slope y"]
    cells = 1.5 + 4 * scene["dice 3"]
    return (view.x * cos + view.y * sin) * cells, (view.y * cos - view.x * sin) * cells


def _stripes(view: View, scene: Scene) -> Float32:
    x, _ = _turned(view, scene)
    return _wave(x + 2 * scene["dice 4"] * noise("cloud", view.patch, scene.offsets))


def _checks(view: View, scene: Scene) -> Float32:
    x, y = _turned(view, scene)
    a, b = _wave(np.float32(0.5) * x), _wave(np.float32(0.5) * y)
    return a + b - 2 * a * b


def _dots(view: View, scene: Scene) -> Float32:
    x, y = _turned(view, scene)
    x, y = x - np.floor(x) - np.float32(0.5), y - np.floor(y) - np.float32(0.5)
    size = 0.2 + 0.25 * scene["dice 4"]
    inside = 4 * (size - np.sqrt(x * x + y * y)) + np.float32(0.5)
    return np.minimum(np.maximum(inside, 0), 1)


def _rings(view: View, scene: Scene) -> Float32:
    x, y = view.x * (0.4 + 1.2 * scene["dice 4"]), view.y
    bent = np.sqrt(x * x + y * y) + 0.35 * noise("cloud", view.patch, scene.offsets)
    return _wave(bent * (2 + 5 * scene["dice 3"]))


def _clouds(view: View, scene: Scene) -> Float32:
    fine = noise("curl", view.patch, scene.offsets)
    return np.float32(0.5) * (noise("cloud", view.patch, scene.offsets) + fine)
