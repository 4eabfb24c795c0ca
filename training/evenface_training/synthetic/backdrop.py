"""What is behind a head, and what the camera adds to the finished picture."""

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Canvas, Patch
from evenface_training.synthetic.config import BACKGROUNDS
from evenface_training.synthetic.noise import NoiseKind, noise
from evenface_training.synthetic.scene import CLUTTER, Scene
from evenface_training.synthetic.shapes import box, cover, ellipse

UInt8 = NDArray[np.uint8]

_TEXTURES: tuple[NoiseKind, ...] = ("cloud", "curl", "streak")


def draw_background(canvas: Canvas, scene: Scene) -> None:
    """Fill the whole of each image."""
    drawn = {
        "plain": _draw_plain,
        "gradient": _draw_gradient,
        "texture": _draw_texture,
        "clutter": _draw_clutter,
    }
    for name, draw in drawn.items():
        some = scene.where("background", BACKGROUNDS.index(name))
        if len(some.rows):
            with canvas.whole(some.rows) as patch:
                draw(patch, some)


def _draw_plain(patch: Patch, scene: Scene) -> None:
    lit = 1 + 0.12 * (patch.x * scene["light x"] + patch.y * scene["light y"])
    patch.values[:] = scene.colors["back"] * lit[:, None]


def _draw_gradient(patch: Patch, scene: Scene) -> None:
    share = 0.5 + 0.4 * (patch.x * scene["slope x"] + patch.y * scene["slope y"])
    _mix(patch, scene, share)


def _draw_texture(patch: Patch, scene: Scene) -> None:
    for number, kind in enumerate(_TEXTURES):
        some = np.flatnonzero(scene.codes["texture"] == number)
        if len(some):
            part = _rows_of(patch, some)
            _mix(part, scene.take(some), noise(kind, part, scene.offsets[some]))
            patch.values[some] = part.values


def _rows_of(patch: Patch, some: NDArray[np.int64]) -> Patch:
    size = patch.values.shape[-1]
    return Patch(patch.values[some], patch.rows[some], patch.top[some], patch.left[some], size)


def _mix(patch: Patch, scene: Scene, share: Float32) -> None:
    back, other = scene.colors["back"], scene.colors["other"]
    patch.values[:] = back + (other - back) * share[:, None]


def _draw_clutter(patch: Patch, scene: Scene) -> None:
    _draw_gradient(patch, scene)
    for number in range(CLUTTER):
        at = {name: scene[f"clutter {number} {name}"] for name in ("x", "y", "wide", "high")}
        x, y = patch.x - at["x"], patch.y - at["y"]
        angular = np.float32(number % 2)
        shape = box if angular else _ellipse
        share = cover(shape(x, y, at["wide"], at["high"], 0.03), patch.pixel)
        color = scene.colors[f"clutter {number}"]
        lit = 1 - np.float32(0.25) * (y / at["high"])
        patch.paint(color * np.clip(lit, 0.7, 1.15)[:, None], share)


def _ellipse(x: Float32, y: Float32, wide: Float32, high: Float32, _corner: float) -> Float32:
    return ellipse(x, y, wide, high)


def take_pictures(canvas: Canvas, scene: Scene) -> UInt8:
    """Finish: how bright the pictures came out, and grain; uint8 [N, S, S, 3]."""
    with canvas.whole(scene.rows) as patch:
        grain = noise("grain", patch, scene.offsets)
    grain -= np.float32(0.5)
    grain *= scene["grain"]
    return canvas.images(scene["exposure"], grain)
