"""Head, ears, neck and clothes."""

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.scene import Part, Scene
from evenface_training.synthetic.shapes import box, ellipse, glow, step
from evenface_training.synthetic.views import View, body_view, head_view, part_view

# By channel: how much skin darkens in the shadow.
_SLOPES = np.array([0.90, 1.03, 1.07], np.float32)[None, :, None, None]
_EAR_Y = 0.12
_EAR_SHOWS = (0.2, 0.35)  # sine of the yaw from which on, and where fully
FACE = 1.05  # how far from its middle a face reaches, tilted
_V_NECK, _JACKET = 0.35, 0.65  # `collar` above these is a V-neck, a jacket


def outline(view: View, scene: Scene) -> tuple[Float32, Float32]:
    """The form of a face without its hair.

    Returns:
        How far across each pixel lies (-1 to 1 inside) and its level: below 1 is inside.
    """
    lower = np.clip(view.y, 0, np.float32(1.1))
    narrow = lower * lower
    narrow *= -scene["jaw"] * scene["width"]
    narrow += scene["width"]
    lower *= np.float32(-0.22) * scene["yaw sin"]
    lower += view.x
    lower += np.float32(0.04) * scene["yaw sin"]
    across = np.divide(lower, narrow, out=lower)
    down = view.y * view.y
    square = down * scene["square"]
    square += 1 - scene["square"]
    down *= square
    down += across * across
    return across, np.sqrt(down, out=down)


def shade(across: Float32, down: Float32, scene: Scene) -> Float32:
    """Light on a rounded surface: float32 [M, H, W], about 1 where it is well lit."""
    # toward² = 1 - (0.9 across)² - (0.75 down)²: how far a point stands out of the picture.
    toward = across * across
    toward *= np.float32(-0.81)
    high = down * down
    high *= np.float32(0.5625)
    toward = toward - high
    toward += 1
    np.maximum(toward, np.float32(0.06), out=toward)
    np.sqrt(toward, out=toward)
    toward *= scene["directed"] * scene["light z"]
    toward += across * (np.float32(0.9) * scene["directed"] * scene["light x"])
    toward += down * (np.float32(0.75) * scene["directed"] * scene["light y"])
    np.maximum(toward, 0, out=toward)
    toward += scene["ambient"]
    return toward


def lit_skin(lit: Float32, scene: Scene) -> Float32:
    """Skin in this light, redder where it is weak: float32 [M, 3, H, W] for [M, H, W]."""
    skin = scene.colors["skin"]
    color = lit[:, None] * (skin * _SLOPES)
    color += skin * (1 - _SLOPES)
    return color


def draw_head(canvas: Canvas, scene: Scene) -> None:
    """Draw the face's skin, with light and cheeks."""
    with head_view(canvas, scene, -1.05, 1.1, FACE) as view:
        across, level = outline(view, scene)
        color = lit_skin(shade(across, view.y, scene), scene)
        view.fill(color, (level - 1) * np.float32(0.8))
    for side in ("left eye", "right eye"):
        _blush(canvas, scene, scene.parts[side])


def _blush(canvas: Canvas, scene: Scene, eye: Part) -> None:
    cheek = Part(eye.x * np.float32(1.2), eye.y + np.float32(0.42), eye.squeeze, eye.cos, eye.sin)
    with part_view(canvas, scene, cheek, 0.24) as view:
        spot = glow(view.x, view.y, 0.22, 0.18)
        view.patch.paint(scene.colors["lip"], spot * np.float32(0.30))


def draw_ears(canvas: Canvas, scene: Scene, *, near: bool) -> None:
    """Draw both ears, or only that on a turned head's near side, which the head does not hide."""
    for side in (-1, 1):
        turned = np.float32(-side) * scene["yaw sin"]
        some = scene.take(np.flatnonzero(turned > _EAR_SHOWS[0])) if near else scene
        if len(some.rows):
            _draw_ear(canvas, some, side, near=near)


def _draw_ear(canvas: Canvas, scene: Scene, side: int, *, near: bool) -> None:
    sin, cos = scene["yaw sin"], scene["yaw cos"]
    x = np.float32(side) * scene["width"] * cos - np.float32(0.12) * sin
    one = np.ones_like(x)
    ear = Part(x, _EAR_Y + 0 * x, 0.8 + 0.5 * np.abs(sin), one, 0 * one)
    shown = step(np.float32(-side) * sin, *_EAR_SHOWS) if near else one
    with part_view(canvas, scene, ear, 0.26) as view:
        color = lit_skin(shade(np.float32(0.8 * side) * one, 0 * one, scene), scene)
        view.fill(color, ellipse(view.x, view.y, 0.11, 0.21), shown)
        inner = ellipse(view.x - np.float32(0.02 * side), view.y + 0.02, 0.055, 0.13)
        view.fill(color * np.float32(0.72), inner, shown * np.float32(0.8))


def draw_body(canvas: Canvas, scene: Scene, *, neck: bool = True) -> None:
    """Draw neck and clothed shoulders."""
    if neck:
        with body_view(canvas, scene, 0.3, 0.75) as view:
            _draw_neck(view, scene)
    with body_view(canvas, scene, 1.15) as view:
        beyond = np.maximum(np.abs(view.x) - scene["neck"], 0)
        top = 1.2 + beyond * (0.22 + 0.25 * beyond) / scene["shoulders"]
        lit = _side_light(view, scene) * (1 - 0.25 * np.minimum(beyond, 1))
        view.fill(scene.colors["cloth"] * lit[:, None], top - view.y)
    for code, draw in ((0, _draw_crew), (1, _draw_v_neck), (2, _draw_jacket)):
        collar = scene["collar"][:, 0, 0]
        kind = (collar > _V_NECK).astype(int) + (collar > _JACKET)
        some = scene.take(np.flatnonzero(kind == code))
        if len(some.rows):
            with body_view(canvas, some, 1.05, 0.62) as view:
                draw(view, some)


def _side_light(view: View, scene: Scene) -> Float32:
    turn = np.float32(0.5) + np.float32(0.5) * scene["light x"] * view.x
    return scene["ambient"] + scene["directed"] * np.clip(turn, 0, 1)


def _draw_neck(view: View, scene: Scene) -> None:
    flare = np.maximum(view.y - 1, 0)
    half = scene["neck"] + 0.25 * flare * flare
    below_chin = step(view.y, 0.75, 1.5)
    lit = _side_light(view, scene) * (0.62 + 0.30 * below_chin)
    view.fill(lit_skin(lit, scene), np.abs(view.x) - half)


def _chest(scene: Scene) -> Float32:
    return lit_skin(np.float32(0.85) * (scene["ambient"] + 0.3 * scene["directed"]), scene)


def _draw_crew(view: View, scene: Scene) -> None:
    y = view.y - np.float32(1.10)
    hem = np.maximum(ellipse(view.x, y, 0.56, 0.30), -y)
    view.fill(scene.colors["trim"] * np.float32(0.7), hem, 0.8)
    view.fill(_chest(scene), np.maximum(ellipse(view.x, y, 0.49, 0.23), -y))


def _draw_v_neck(view: View, scene: Scene) -> None:
    cut = (np.abs(view.x) - 0.48 + 0.9 * np.maximum(view.y - 1.1, 0)) * np.float32(0.75)
    view.fill(scene.colors["trim"] * np.float32(0.7), cut - np.float32(0.05), 0.8)
    view.fill(_chest(scene), cut)


def _draw_jacket(view: View, scene: Scene) -> None:
    across, down = np.abs(view.x), np.maximum(view.y - 1.1, 0)
    shirt = (across - 0.46 + 0.55 * down) * np.float32(0.85)
    light = (scene["ambient"] + 0.3 * scene["directed"])[:, None]
    view.fill(scene.colors["trim"] * light, shirt)
    skin = (across - 0.40 + 1.5 * down) * np.float32(0.55)
    view.fill(_chest(scene), skin)
    tie = box(view.x, view.y - np.float32(1.75), 0.09, 0.38, 0.02)
    view.fill(scene.colors["cloth"][:, ::-1] * np.float32(0.8), tie)
