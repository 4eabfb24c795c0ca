"""Head, ears, neck and clothes."""

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.scene import Part, Scene
from evenface_training.synthetic.shapes import box, ellipse, glow, step
from evenface_training.synthetic.views import View, body_view, head_view, part_view

Float32 = NDArray[np.float32]

_EAR_Y = 0.12
_V_NECK, _JACKET = 0.35, 0.65  # `collar` above these is a V-neck, a jacket


def outline(view: View, scene: Scene) -> tuple[Float32, Float32]:
    """The form of a face without its hair.

    Returns:
        How far across each pixel lies (-1 to 1 inside) and its level: below 1 is inside.
    """
    lower = np.minimum(np.maximum(view.y, 0), np.float32(1.1))
    width = scene["width"] * (1 - scene["jaw"] * lower * lower)
    across = (view.x - scene["yaw sin"] * (0.22 * lower - 0.04)) / width
    down = view.y * view.y
    down = down * (1 - scene["square"] + scene["square"] * down)
    return across, np.sqrt(across * across + down)


def shade(across: Float32, down: Float32, scene: Scene) -> Float32:
    """Light on a rounded surface: float32 [M, H, W], about 1 where it is well lit."""
    x, y = across * np.float32(0.9), down * np.float32(0.75)
    toward = np.sqrt(np.maximum(1 - x * x - y * y, np.float32(0.06)))
    falling = x * scene["light x"] + y * scene["light y"] + toward * scene["light z"]
    return scene["ambient"] + scene["directed"] * np.maximum(falling, 0)


def draw_head(canvas: Canvas, scene: Scene) -> None:
    """Draw the face's skin, with light and cheeks."""
    with head_view(canvas, scene, -1.05, 1.1) as view:
        across, level = outline(view, scene)
        lit = shade(across, view.y, scene)
        color = scene.colors["skin"] * lit[:, None]
        view.fill(color, (level - 1) * np.float32(0.8))
    for side in ("left eye", "right eye"):
        _blush(canvas, scene, scene.parts[side])


def _blush(canvas: Canvas, scene: Scene, eye: Part) -> None:
    cheek = Part(eye.x * np.float32(1.2), eye.y + np.float32(0.42), eye.squeeze, eye.cos, eye.sin)
    with part_view(canvas, scene, cheek, 0.24) as view:
        spot = glow(view.x, view.y, 0.22, 0.18)
        view.patch.paint(scene.colors["lip"], spot * np.float32(0.22))


def draw_ears(canvas: Canvas, scene: Scene, *, near: bool) -> None:
    """Draw both ears, or only that on a turned head's near side, which the head does not hide."""
    for side in (-1.0, 1.0):
        sin, cos = scene["yaw sin"], scene["yaw cos"]
        x = np.float32(side) * scene["width"] * cos - np.float32(0.12) * sin
        one = np.ones_like(x)
        ear = Part(x, _EAR_Y + 0 * x, 0.8 + 0.5 * np.abs(sin), one, 0 * one)
        shown = step(-np.float32(side) * sin, 0.2, 0.35) if near else one
        with part_view(canvas, scene, ear, 0.26) as view:
            lit = shade(np.float32(0.8 * side) * one, 0 * one, scene)
            color = scene.colors["skin"] * lit[:, None]
            view.fill(color, ellipse(view.x, view.y, 0.11, 0.21), shown)
            inner = ellipse(view.x - np.float32(0.02 * side), view.y + 0.02, 0.055, 0.13)
            view.fill(color * np.float32(0.72), inner, shown * np.float32(0.8))


def draw_body(canvas: Canvas, scene: Scene, *, neck: bool = True) -> None:
    """Draw neck and clothed shoulders."""
    with body_view(canvas, scene, 0.3 if neck else 1.0) as view:
        turn = np.float32(0.5) + np.float32(0.5) * scene["light x"] * view.x
        if neck:
            _draw_neck(view, scene, turn)
        beyond = np.maximum(np.abs(view.x) - scene["neck"], 0)
        top = 1.2 + beyond * (0.22 + 0.25 * beyond) / scene["shoulders"]
        lit = scene["ambient"] + scene["directed"] * np.minimum(np.maximum(turn, 0), 1)
        lit = lit * (1 - 0.25 * np.minimum(beyond, 1))
        view.fill(scene.colors["cloth"] * lit[:, None], top - view.y)
    for code, draw in ((0, _draw_crew), (1, _draw_v_neck), (2, _draw_jacket)):
        collar = scene["collar"][:, 0, 0]
        kind = (collar > _V_NECK).astype(int) + (collar > _JACKET)
        some = scene.take(np.flatnonzero(kind == code))
        if len(some.rows):
            with body_view(canvas, some, 1.0) as view:
                draw(view, some)


def _draw_neck(view: View, scene: Scene, turn: Float32) -> None:
    flare = np.maximum(view.y - 1, 0)
    half = scene["neck"] + 0.25 * flare * flare
    below_chin = step(view.y, 0.75, 1.5)
    lit = scene["ambient"] + scene["directed"] * np.minimum(np.maximum(turn, 0), 1)
    lit = lit * (0.55 + 0.35 * below_chin)
    view.fill(scene.colors["skin"] * lit[:, None], np.abs(view.x) - half)


def _lit_skin(scene: Scene) -> Float32:
    return scene.colors["skin"] * (scene["ambient"] + 0.3 * scene["directed"])[:, None]


def _draw_crew(view: View, scene: Scene) -> None:
    y = view.y - np.float32(1.14)
    view.fill(scene.colors["trim"] * np.float32(0.7), ellipse(view.x, y, 0.50, 0.24), 0.8)
    view.fill(_lit_skin(scene) * np.float32(0.8), ellipse(view.x, y, 0.44, 0.19))


def _draw_v_neck(view: View, scene: Scene) -> None:
    cut = (np.abs(view.x) - 0.48 + 0.9 * np.maximum(view.y - 1.1, 0)) * np.float32(0.75)
    view.fill(scene.colors["trim"] * np.float32(0.7), cut - np.float32(0.05), 0.8)
    view.fill(_lit_skin(scene) * np.float32(0.82), cut)


def _draw_jacket(view: View, scene: Scene) -> None:
    across, down = np.abs(view.x), np.maximum(view.y - 1.1, 0)
    shirt = (across - 0.46 + 0.55 * down) * np.float32(0.85)
    light = (scene["ambient"] + 0.3 * scene["directed"])[:, None]
    view.fill(scene.colors["trim"] * light, shirt)
    skin = (across - 0.40 + 1.5 * down) * np.float32(0.55)
    view.fill(_lit_skin(scene) * np.float32(0.82), skin)
    tie = box(view.x, view.y - np.float32(1.75), 0.09, 0.38, 0.02)
    view.fill(scene.colors["cloth"][:, ::-1] * np.float32(0.8), tie)
