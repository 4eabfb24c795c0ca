"""Hair behind and in front of the face, and beards."""

import numpy as np

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.config import BEARDS, HAIRS, HATS
from evenface_training.synthetic.head import FACE, outline, shade
from evenface_training.synthetic.noise import NoiseKind, noise
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.shapes import box, cover, ellipse, step
from evenface_training.synthetic.views import EVERYWHERE, View, head_view

_CURLY, _BUN = HAIRS.index("curly"), HAIRS.index("bun")
# By style: how far hair stands off the skull, how far down its line reaches beside the forehead,
# how far off the middle it parts, how much lower the line lies.
_STYLES = {
    "buzz": (0.02, 0.50, 0.0, 0.0),
    "short": (0.08, 0.62, 0.1, 0.0),
    "parted": (0.10, 0.36, 0.45, -0.02),
    "fringe": (0.10, 0.10, 0.0, 0.26),
    "curly": (0.22, 0.42, 0.0, 0.04),
    "long": (0.10, 0.50, 0.12, 0.02),
    "wavy": (0.14, 0.42, 0.25, 0.06),
    "bun": (0.05, 0.36, 0.0, 0.0),
}


# From which height down to which the hair before the face may lie, and how far from the middle.
_CLOSE = (-1.2, 0.6, 1.15)
_WINDOWS = {
    "curly": (-1.6, 0.6, EVERYWHERE),
    "long": (-1.3, 2.0, EVERYWHERE),
    "wavy": (-1.3, 2.0, EVERYWHERE),
}


def uncovered(scene: Scene) -> Scene:
    """The heads whose hair no scarf hides."""
    return scene.take(np.flatnonzero(scene.codes["hat"] != HATS.index("scarf")))


def draw_hair_behind(canvas: Canvas, scene: Scene) -> None:
    """Draw what neck and face stand before: long hair, the volume of curls, a bun."""
    scene = uncovered(scene)
    for name in ("long", "wavy"):
        some = scene.where("hair", HAIRS.index(name))
        if len(some.rows):
            with head_view(canvas, some, -1.3, 2.2) as view:
                _paint(view, some, _long_mass(view, some), _texture(name), dark=0.7)
    some = scene.where("hair", _CURLY)
    if len(some.rows):
        with head_view(canvas, some, -1.7, 0.9) as view:
            _paint(view, some, _curly_mass(view, some), "curl", dark=0.85)
    some = scene.where("hair", _BUN)
    if len(some.rows):
        with head_view(canvas, some, -1.6, -0.6) as view:
            x = view.x + np.float32(0.3) * some["yaw sin"]
            radius = 0.24 + 0.08 * some["hair length"]
            _paint(view, some, ellipse(x, view.y + np.float32(1.12), radius, radius), "curl")


def draw_hair_front(canvas: Canvas, scene: Scene) -> None:
    """Draw what lies upon the skull."""
    scene = uncovered(scene)
    for name in _STYLES:
        some = scene.where("hair", HAIRS.index(name))
        if len(some.rows):
            with head_view(canvas, some, *_WINDOWS.get(name, _CLOSE)) as view:
                opacity = 0.62 if name == "buzz" else 1.0
                _paint(view, some, _front(view, some, name), _texture(name), opacity=opacity)


def _texture(name: str) -> NoiseKind:
    return {"curly": "curl", "buzz": "grain", "wavy": "curl"}.get(name, "streak")  # type: ignore[return-value]


def _skull(view: View, scene: Scene, off: Float32 | float) -> Float32:
    x = view.x + np.float32(0.12) * scene["yaw sin"]
    high = np.float32(0.92) + off
    return ellipse(x, view.y + np.float32(0.10), scene["width"] + off, high)


def _long_mass(view: View, scene: Scene) -> Float32:
    x = view.x + np.float32(0.14) * scene["yaw sin"]
    wavy = (scene.codes["hair"] == HAIRS.index("wavy")).astype(np.float32)[:, None, None]
    curl = noise("curl", view.patch, scene.offsets) - np.float32(0.5)
    x = x + 0.22 * wavy * curl
    half = 0.80 + 0.32 * scene["hair length"]
    side = scene["width"] + 0.10 + 0.14 * wavy
    fall = box(x, view.y - half + np.float32(0.35), side, half, 0.45)
    return np.minimum(fall, _skull(view, scene, 0.10 + 0.05 * wavy))


def _curly_mass(view: View, scene: Scene) -> Float32:
    curl = noise("curl", view.patch, scene.offsets) - np.float32(0.5)
    radius = scene["width"] + 0.20 + 0.32 * scene["hair length"]
    x = view.x + np.float32(0.12) * scene["yaw sin"]
    return ellipse(x, view.y + np.float32(0.32), radius, radius * np.float32(0.98)) + 0.14 * curl


def _front(view: View, scene: Scene, name: str) -> Float32:
    """Signed distance of the hair on the skull: within its volume and above the hairline."""
    off, reach, part, lower = _STYLES[name]
    u = (view.x - np.float32(0.45) * scene["yaw sin"]) / scene["width"]
    v = u - np.float32(part) * scene["hair side"]
    line = scene["hair line"] + np.float32(lower) + np.float32(reach) * v * v
    away = np.abs(u)
    if name in ("long", "wavy"):
        line = line + 7 * np.maximum(away - np.float32(0.72), 0)
        return np.maximum(_long_mass(view, scene), (view.y - line) * np.float32(0.3))
    # Beside the forehead the hair ends above the ear; behind the ear it reaches the neck.
    end = np.float32(-0.02) + np.float32(0.5) * step(away, 1.15, 1.3)
    if name == "parted":
        line = line + 3 * np.maximum(away - np.float32(0.74), 0)
    if name == "fringe":
        jag = noise("streak", view.patch, scene.offsets) - np.float32(0.5)
        line = line + 0.14 * jag + 0.9 * np.maximum(away - np.float32(0.70), 0)
    if name == "curly":
        jag = noise("curl", view.patch, scene.offsets) - np.float32(0.5)
        return np.maximum(
            np.minimum(_skull(view, scene, off), _curly_mass(view, scene)),
            (view.y - np.minimum(line + 0.18 * jag, end)) * np.float32(0.7),
        )
    return np.maximum(_skull(view, scene, off), (view.y - np.minimum(line, end)) * np.float32(0.7))


def _paint(
    view: View,
    scene: Scene,
    distance: Float32,
    texture: NoiseKind,
    *,
    dark: float = 1.0,
    opacity: float = 1.0,
) -> None:
    strands = noise(texture, view.patch, scene.offsets)
    lit = shade(view.x / (scene["width"] + np.float32(0.2)), view.y * np.float32(0.7), scene)
    lit = lit * ((0.74 + 0.52 * strands) * dark)
    view.fill(scene.colors["hair"] * lit[:, None], distance, opacity)


def draw_beards(canvas: Canvas, scene: Scene) -> None:
    """Draw beards upon the skin, before the mouth is drawn."""
    for name in BEARDS[1:]:
        some = scene.where("beard", BEARDS.index(name))
        if len(some.rows):
            with head_view(canvas, some, -0.1, 1.25, FACE) as view:
                _draw_beard(view, some, name)


def _draw_beard(view: View, scene: Scene, name: str) -> None:
    mouth = scene.parts["mouth"]
    u = (view.x - mouth.x) / (scene["width"] * mouth.squeeze)
    y = view.y - (mouth.y - np.float32(0.58))
    across, level = outline(view, scene)
    if name in ("full", "stubble"):
        line = np.maximum(0.45 - 0.62 * u * u, np.float32(0.10))
        edge = np.float32(1.06 if name == "full" else 1.0)
        distance = np.maximum((level - edge) * np.float32(0.8), (line - y) * np.float32(0.7))
    else:
        distance = _moustache(u * np.float32(0.74), y)
    if name == "goatee":
        chin = ellipse(u * np.float32(0.74), y - np.float32(0.80), 0.27, 0.26)
        ring = np.abs(ellipse(u * np.float32(0.74), y - np.float32(0.6), 0.33, 0.22)) - 0.05
        distance = np.maximum(
            np.minimum(np.minimum(distance, chin), ring), (level - np.float32(1.04)) * 0.8
        )
    bristle = noise("grain", view.patch, scene.offsets)
    lit = shade(across, view.y, scene) * (0.66 + 0.42 * bristle)
    if name == "stubble":
        opacity: Float32 | float = 0.25 + 0.35 * bristle
    else:
        opacity = 0.94
    color = scene.colors["hair"] * np.float32(0.9) * lit[:, None]
    view.patch.paint(color, cover(distance, 1.5 * view.pixel) * opacity)


def _moustache(x: Float32, y: Float32) -> Float32:
    droop = np.float32(0.9) * x * x
    return ellipse(x, y - np.float32(0.455) - droop, 0.30, 0.066)
