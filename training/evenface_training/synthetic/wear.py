"""Glasses and hats."""

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.config import GLASSES, HATS
from evenface_training.synthetic.head import outline, shade
from evenface_training.synthetic.noise import noise
from evenface_training.synthetic.palette import WHITE
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.shapes import box, ellipse, glow, step
from evenface_training.synthetic.views import View, head_view, part_view

# By kind: half the height of a lens, half the width of its rim, how round its corners are.
_FRAMES = {"thin": (0.175, 0.024, 0.175), "thick": (0.165, 0.042, 0.08), "dark": (0.17, 0.02, 0.11)}


def draw_glasses(canvas: Canvas, scene: Scene) -> None:
    """Draw glasses before the eyes."""
    for name in GLASSES[1:]:
        some = scene.where("glasses", GLASSES.index(name))
        if len(some.rows):
            for side in (-1, 1):
                part = some.parts["left eye" if side < 0 else "right eye"]
                with part_view(canvas, some, part, 0.48) as view:
                    _draw_lens(view, some, name, side)


def _draw_lens(view: View, scene: Scene, name: str, side: int) -> None:
    half_y, rim, corner = (np.float32(value) * scene["glasses"] for value in _FRAMES[name])
    half_x = np.float32(0.225) * scene["glasses"]
    y = view.y - np.float32(0.02)
    lens = box(view.x, y, half_x, half_y, corner)
    color = scene.colors["rim"]
    if name == "dark":
        color = color * np.float32(0.25)
        view.fill(color, lens, 0.95)
        spot = glow(view.x + np.float32(0.07), y + np.float32(0.06), 0.12, 0.07)
        view.patch.paint(WHITE, spot * np.float32(0.22))
    else:
        view.fill(WHITE, lens, 0.10)
    view.fill(color, np.abs(lens) - rim)
    bridge = np.abs(view.x + np.float32(side) * (half_x + 0.04)) - np.float32(0.05)
    arm = np.abs(view.x - np.float32(side) * (half_x + 0.10)) - np.float32(0.10)
    height = np.abs(y + np.float32(0.05)) - rim
    view.fill(color, np.maximum(np.minimum(bridge, arm), height))


def draw_hats(canvas: Canvas, scene: Scene) -> None:
    """Draw hats and scarves, over hair and clothes."""
    drawn = {"beanie": _draw_beanie, "cap": _draw_cap, "brim": _draw_brim, "scarf": _draw_scarf}
    for name, draw in drawn.items():
        some = scene.where("hat", HATS.index(name))
        if len(some.rows):
            with head_view(canvas, some, -1.8, 2.4 if name == "scarf" else 0.1) as view:
                draw(view, some)


def _cloth(view: View, scene: Scene, name: str = "hat") -> Float32:
    """The lit colour of a hat, float32 [M, 3, H, W]."""
    lit = shade(view.x / (scene["width"] + 0.25), view.y * np.float32(0.7), scene)
    color: Float32 = scene.colors[name] * lit[:, None]
    return color


def _dome(view: View, scene: Scene, off: float, top: float) -> Float32:
    x = view.x + np.float32(0.08) * scene["yaw sin"]
    return ellipse(x, view.y + np.float32(0.2), scene["width"] + np.float32(off), top - 0.2)


def _draw_beanie(view: View, scene: Scene) -> None:
    u = view.x / scene["width"]
    ribs = 0.75 + 0.5 * noise("streak", view.patch, scene.offsets)
    color = _cloth(view, scene) * ribs[:, None]
    edge = view.y + 0.36 - 0.06 * u * u
    dome = _dome(view, scene, 0.13, 1.28)
    view.fill(color, np.maximum(dome, edge))
    view.fill(color * np.float32(0.7), np.maximum(dome - 0.03, np.abs(edge + 0.12) - 0.11))


def _draw_cap(view: View, scene: Scene) -> None:
    front = (scene["width"] + 0.2) * scene["yaw sin"]
    _forehead_shadow(view, scene, -0.40)
    dome = _dome(view, scene, 0.09, 1.2)
    color = _cloth(view, scene)
    view.fill(color, np.maximum(dome, view.y + np.float32(0.45)))
    x = view.x - np.float32(0.7) * front
    badge = ellipse(x, view.y + np.float32(0.78), 0.14, 0.14)
    view.fill(_cloth(view, scene, "trim"), badge)
    brim = ellipse(view.x - front, view.y + np.float32(0.46), scene["width"] * 0.92, 0.13)
    view.fill(color * np.float32(0.6), brim)


def _draw_brim(view: View, scene: Scene) -> None:
    _forehead_shadow(view, scene, -0.36)
    x = view.x + np.float32(0.06) * scene["yaw sin"]
    color = _cloth(view, scene)
    crown = box(x, view.y + np.float32(0.95), scene["width"] * np.float32(0.86), 0.48, 0.22)
    view.fill(color, crown)
    ribbon = np.maximum(crown, np.abs(view.y + np.float32(0.66)) - np.float32(0.10))
    view.fill(_cloth(view, scene, "trim"), ribbon)
    arch = np.float32(0.08) * x * x
    brim = ellipse(x, view.y + np.float32(0.52) - arch, scene["width"] + 0.55, 0.14)
    view.fill(color * np.float32(0.78), brim)


def _draw_scarf(view: View, scene: Scene) -> None:
    across, _ = outline(view, scene)
    x = view.x + np.float32(0.08) * scene["yaw sin"]
    head = ellipse(x, view.y, scene["width"] + np.float32(0.20), 1.18)
    spread = scene["width"] - 0.06 + 0.55 * np.maximum(view.y - np.float32(0.8), 0)
    fall = np.maximum(np.abs(x) - spread, np.float32(0.3) - view.y) * np.float32(0.85)
    shown = (view.x - np.float32(0.20) * scene["yaw sin"]) / (scene["width"] * np.float32(0.86))
    face = ellipse(shown, (view.y - np.float32(0.10)) / np.float32(0.84), 1.0, 1.0)
    folds = 0.7 + 0.4 * noise("streak", view.patch, scene.offsets)
    folds = folds + 0.2 * noise("cloud", view.patch, scene.offsets)
    color = _cloth(view, scene) * folds[:, None]
    view.fill(color, np.maximum(np.minimum(head, fall), -face * np.float32(0.75)))
    hem = np.maximum(np.abs(face * np.float32(0.75) - 0.05) - 0.035, np.abs(across) - 2)
    view.fill(color * np.float32(0.6), hem, 0.8)


def _forehead_shadow(view: View, scene: Scene, edge: float) -> None:
    _, level = outline(view, scene)
    near = 1 - step(view.y, edge, edge + 0.22)
    inside = 1 - step(level, 0.9, 1.0)
    view.patch.tint(1 - np.float32(0.38) * near * inside)
