"""Eyes with brows, nose and mouth."""

import numpy as np

from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.palette import WHITE
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.shapes import cover, ellipse, glow
from evenface_training.synthetic.views import View, part_view

_DARK = np.array([0.09, 0.06, 0.06], np.float32)[None, :, None, None]
_GUMS = np.array([0.30, 0.08, 0.09], np.float32)[None, :, None, None]
_BROW_Y = -0.22


def draw_features(canvas: Canvas, scene: Scene) -> None:
    """Draw all of them, lit as the head is."""
    draw_nose(canvas, scene)
    draw_mouth(canvas, scene)
    for side in (-1, 1):
        draw_eye(canvas, scene, side)


def draw_eye(canvas: Canvas, scene: Scene, side: int) -> None:
    """Draw one eye (side -1 is the picture's left) and its brow."""
    part = scene.parts["left eye" if side < 0 else "right eye"]
    with part_view(canvas, scene, part, 0.42) as view:
        hollow = glow(view.x, view.y + np.float32(0.04), 0.30, 0.22)
        view.patch.tint(1 - np.float32(0.22) * hollow)
        _draw_eyeball(view, scene, side)
        _draw_brow(view, scene, side)


def _draw_eyeball(view: View, scene: Scene, side: int) -> None:
    light = scene["ambient"] + 0.35 * scene["directed"]
    u = view.x / scene["eye"]
    curve = 1 - u * u
    y = view.y + np.float32(side) * scene["slant"] * u
    lid = scene["lid"] * curve
    opening = np.maximum(-y - lid, y - np.float32(0.75) * lid)
    view.fill(WHITE * (0.93 * light)[:, None], opening)
    inside = cover(opening, view.pixel)
    x = view.x - scene["gaze"]
    ball = ellipse(x, y, 0.085, 0.085)
    view.fill(scene.colors["iris"] * light[:, None], ball, inside)
    view.fill(_DARK, ellipse(x, y, 0.042, 0.042), inside)
    spark = ellipse(x - 0.03 * np.sign(scene["light x"]), y + np.float32(0.035), 0.024, 0.024)
    view.fill(WHITE, spark, inside * np.float32(0.85))
    lash = np.maximum(np.abs(y + lid) - np.float32(0.020), np.abs(u) * scene["eye"] - scene["eye"])
    view.fill(_DARK, lash, 0.85)
    crease = np.maximum(np.abs(y + 1.1 * lid + 0.055) - 0.008, np.abs(u) * 0.16 - 0.13)
    view.fill(scene.colors["skin"] * np.float32(0.45), crease, 0.5)


def _draw_brow(view: View, scene: Scene, side: int) -> None:
    u = (view.x - np.float32(0.02 * side)) / np.float32(0.235)
    outward = u * np.float32(side)
    line = _BROW_Y - scene["arch"] * (1 - u * u) + 0.03 * outward
    thickness = scene["brow"] * (1 - np.float32(0.45) * np.maximum(outward, 0))
    shape = np.maximum(np.abs(view.y - line) - thickness, (np.abs(u) - 1) * np.float32(0.235))
    view.fill(scene.colors["hair"] * np.float32(0.75), shape, 0.85)


def draw_nose(canvas: Canvas, scene: Scene) -> None:
    """Draw a nose by light and shadow; its side away from the light is the dark one."""
    with part_view(canvas, scene, scene.parts["nose"], 0.52) as view:
        wide, x = scene["nose"], view.x
        # The bridge leans back to between the eyes when the head is turned.
        lean = np.float32(0.26) * scene["yaw sin"]
        y = view.y
        up = np.minimum(np.maximum(-y, 0) / np.float32(0.46), 1)
        x = x + lean * up
        half = wide * (1 - np.float32(0.55) * np.minimum(2.2 * up, 1))
        body = cover(np.maximum(np.abs(x) - half, np.maximum(y - 0.06, -0.46 - y)), 4 * view.pixel)
        slope = np.minimum(np.maximum(x / half, -1), 1)
        turned = scene["light x"] + np.float32(0.35) * np.sign(scene["light x"])
        side = slope * (0.6 * turned - 0.5 * scene["yaw sin"])
        view.patch.tint(1 + np.float32(0.22) * body * side)
        tip = glow(x, y + np.float32(0.05), 0.10, 0.10)
        view.patch.tint(1 + np.float32(0.16) * tip)
        skin = scene.colors["skin"]
        below = ellipse(x, y - np.float32(0.075), wide, 0.045)
        view.fill(skin * np.float32(0.42), below, 0.55)
        wing = np.abs(np.abs(x) - wide) - np.float32(0.015)
        wing = np.maximum(wing, np.abs(y - np.float32(0.005)) - np.float32(0.07))
        view.fill(skin * np.float32(0.5), wing, 0.45)
        hole = ellipse(np.abs(x) - 0.5 * wide, y - np.float32(0.055), 0.042, 0.024)
        view.fill(_DARK, hole, 0.7)


def draw_mouth(canvas: Canvas, scene: Scene) -> None:
    """Draw lips, and teeth where the mouth is open."""
    with part_view(canvas, scene, scene.parts["mouth"], 0.50) as view:
        light = (scene["ambient"] + 0.6 * scene["directed"])[:, None]
        u = view.x / scene["mouth"]
        curve = 1 - u * u
        y = view.y + scene["rise"] * (u * u - np.float32(0.4))
        lips = scene["lips"]
        bow = 1 - np.float32(0.35) * glow(u, 0 * y, 0.35, 1)
        upper = (scene["open"] + 0.75 * lips * bow) * curve
        lower = (scene["open"] + 1.05 * lips) * curve
        color = scene.colors["lip"] * light
        under = glow(view.x, y - scene["open"] - 1.9 * lips, 0.24, 0.08)
        view.patch.tint(1 - np.float32(0.2) * under)
        view.fill(color, np.maximum(-y - upper, y - lower))
        gap = scene["open"] * curve
        inside = np.abs(y) - gap
        open_ = np.minimum(scene["open"] * np.float32(60), 1)
        view.fill(_GUMS, inside, open_)
        view.fill(WHITE * (0.92 * light), np.maximum(inside, y - 0.25 * gap), open_)
        line = np.maximum(np.abs(y) - np.float32(0.014), (np.abs(u) - 1) * scene["mouth"])
        view.fill(_GUMS, line, 0.75 * (1 - open_))
        corner = glow(np.abs(u) - 1, y, 0.16, 0.05)
        view.patch.tint(1 - np.float32(0.25) * corner)
