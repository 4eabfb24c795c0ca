"""Hard non-faces: what has a face's colours, outline or parts and is none."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.animals import draw_animals
from evenface_training.synthetic.backdrop import draw_background, expose
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.config import KINDS
from evenface_training.synthetic.faces import draw_person
from evenface_training.synthetic.hair import draw_hair_behind
from evenface_training.synthetic.head import draw_body, draw_ears, outline, shade
from evenface_training.synthetic.noise import noise
from evenface_training.synthetic.objects import draw_clocks, draw_masks, draw_textures
from evenface_training.synthetic.scene import Columns, Part, Scene
from evenface_training.synthetic.shapes import ellipse
from evenface_training.synthetic.views import body_view, head_view

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

_PARTS = ("left eye", "right eye", "nose", "mouth")
# Where each part goes: none stays, and the eyes do not merely change sides.
_ORDERS = np.array([[2, 3, 1, 0], [3, 2, 0, 1], [2, 3, 0, 1], [3, 2, 1, 0]])
# Quarters of the picture, none of which stays.
_QUARTERS = np.array([[1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0], [1, 2, 3, 0], [2, 0, 3, 1]])
_TILES = 4
_HALF = 0.5


def draw_nonfaces(canvas: Canvas, scene: Scene, kinds: Int64) -> None:
    """Draw finished pictures of N non-faces.

    Args:
        canvas: N images.
        scene: What a face in the same place would look like.
        kinds: int64 [N], positions in `config.KINDS`.
    """
    draw_background(canvas, scene)
    drawn = {
        "scrambled": _draw_scrambled,
        "clock": draw_clocks,
        "texture": draw_textures,
        "animal": draw_animals,
        "mask": draw_masks,
        "bust": _draw_busts,
    }
    for name, draw in drawn.items():
        some = scene.take(np.flatnonzero(kinds == KINDS.index(name)))
        if len(some.rows):
            draw(canvas, some)
    expose(canvas, scene)


def split(scene: Scene, dice: int, limit: float = _HALF) -> tuple[Scene, Scene]:
    """Part the images in which a die shows less than `limit` from the others."""
    low = scene[f"dice {dice}"][:, 0, 0] < limit
    return scene.take(np.flatnonzero(low)), scene.take(np.flatnonzero(~low))


def _draw_scrambled(canvas: Canvas, scene: Scene) -> None:
    """Faces whose parts have changed places, or whose pictures were cut up."""
    moved, cut = split(scene, 0)
    if len(moved.rows):
        draw_person(canvas, replace(moved, parts=Columns(_scramble(moved))))
    if len(cut.rows):
        draw_person(canvas, cut)
        quarters, tiles = split(cut, 1)
        _shuffle(canvas, quarters, 2, _QUARTERS[_roll(quarters, 2, len(_QUARTERS))])
        keys = np.stack([_fraction(tiles, number) for number in range(_TILES**2)], axis=1)
        _shuffle(canvas, tiles, _TILES, np.argsort(keys, axis=1, kind="stable"))


def _roll(scene: Scene, dice: int, sides: int) -> Int64:
    return (scene[f"dice {dice}"][:, 0, 0] * sides).astype(np.int64)


def _fraction(scene: Scene, number: int) -> NDArray[np.float64]:
    """One of many numbers in [0, 1) made out of one die."""
    die = scene["dice 3"][:, 0, 0].astype(np.float64)
    return (die * 7919.0 * (number + 1) + number * 0.618) % 1.0


def _scramble(scene: Scene) -> dict[str, Part]:
    """Give each part the place of another, askew."""
    order = _ORDERS[_roll(scene, 2, len(_ORDERS))]
    places = np.stack([np.stack([scene.parts[n].x, scene.parts[n].y]) for n in _PARTS])
    every = np.arange(len(scene.rows))
    parts = {}
    for number, name in enumerate(_PARTS):
        jitter = [scene[f"dice {3 + (number + axis) % 4}"] - np.float32(_HALF) for axis in (0, 1)]
        x, y = (
            places[order[:, number], axis, every] + np.float32(0.3) * jitter[axis]
            for axis in (0, 1)
        )
        angle = 2.6 * (scene[f"dice {4 + number % 4}"] - np.float32(_HALF))
        squeeze = np.ones_like(x)
        parts[name] = Part(x, y, squeeze, np.cos(angle), np.sin(angle))
    return parts


def _shuffle(canvas: Canvas, scene: Scene, tiles: int, order: Int64) -> None:
    """Cut images into tiles × tiles pieces and lay them in int64 [M, tiles²] another order."""
    if not len(scene.rows):
        return
    side = canvas.size // tiles
    values = canvas.values[scene.rows].reshape(-1, 3, tiles, side, tiles, side)
    pieces = values.transpose(0, 2, 4, 1, 3, 5).reshape(-1, tiles * tiles, 3, side, side)
    pieces = np.take_along_axis(pieces, order[:, :, None, None, None], axis=1)
    pieces = pieces.reshape(-1, tiles, tiles, 3, side, side).transpose(0, 3, 1, 4, 2, 5)
    canvas.values[scene.rows] = pieces.reshape(-1, 3, canvas.size, canvas.size)


def _draw_busts(canvas: Canvas, scene: Scene) -> None:
    """Shoulders without a head, heads from behind, and heads without features."""
    headless, headed = split(scene, 0, 0.4)
    blank, behind = split(headed, 0, 0.65)
    if len(headless.rows):
        draw_body(canvas, headless, neck=False)
        with body_view(canvas, headless, 0.7) as view:
            stump = np.maximum(np.abs(view.x) - headless["neck"], np.float32(0.85) - view.y)
            lit = shade(view.x, 0 * view.y, headless)
            color = headless.colors["skin"] * np.float32(0.8)
            view.fill(color * lit[:, None], np.maximum(stump, view.y - np.float32(1.3)))
            top = ellipse(view.x, view.y - np.float32(0.85), headless["neck"], 0.10)
            view.fill(color * np.float32(0.75), top)
    for some, hairy in ((blank, False), (behind, True)):
        if len(some.rows):
            draw_hair_behind(canvas, some)
            draw_body(canvas, some)
            draw_ears(canvas, some, near=False)
            _draw_blank_heads(canvas, some, hairy=hairy)


def _draw_blank_heads(canvas: Canvas, scene: Scene, *, hairy: bool) -> None:
    with head_view(canvas, scene, -1.3, 1.1) as view:
        across, level = outline(view, scene)
        lit = shade(across, view.y, scene)
        name = "hair" if hairy else "skin"
        if hairy:
            lit = lit * (0.5 + 0.9 * noise("streak", view.patch, scene.offsets))
            level = level - np.float32(0.1)
        view.fill(scene.colors[name] * lit[:, None], (level - 1) * np.float32(0.8))
