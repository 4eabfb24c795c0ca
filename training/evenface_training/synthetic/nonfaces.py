"""Hard non-faces: what has a face's colours, outline or parts and is none."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.animals import draw_animals
from evenface_training.synthetic.backdrop import UInt8, draw_background, take_pictures
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.config import KINDS
from evenface_training.synthetic.draws import mix
from evenface_training.synthetic.faces import draw_person
from evenface_training.synthetic.hair import draw_hair_behind
from evenface_training.synthetic.head import draw_body, draw_ears, outline, shade
from evenface_training.synthetic.noise import noise
from evenface_training.synthetic.objects import draw_clocks, draw_masks, draw_textures
from evenface_training.synthetic.scene import Columns, Part, Scene
from evenface_training.synthetic.shapes import ellipse
from evenface_training.synthetic.views import body_view, head_view

Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]

_PARTS = ("left eye", "right eye", "nose", "mouth")
_BEARD = "beard"
# Where each part goes, in half widths of the head across and head units down: far from each other,
# and never two eyes above a mouth.
_PLACES = np.array(
    [
        [[-0.42, 0.38], [0.42, 0.38], [0.0, 0.74], [0.0, -0.08]],
        [[-0.42, -0.06], [0.0, 0.74], [-0.40, 0.40], [0.34, -0.04]],
        [[0.05, 0.72], [-0.46, 0.30], [0.42, 0.04], [-0.22, -0.08]],
        [[-0.44, -0.04], [0.42, 0.42], [0.40, -0.02], [-0.24, 0.48]],
        [[-0.45, -0.06], [-0.38, 0.42], [0.05, 0.76], [0.34, 0.12]],
        [[0.45, -0.06], [0.38, 0.42], [-0.40, 0.02], [-0.16, 0.58]],
    ]
)
# Strips of the picture, none of which keeps a neighbour.
_STRIPS = np.array([[4, 1, 6, 3, 0, 7, 2, 5], [3, 6, 0, 5, 2, 7, 4, 1], [2, 5, 0, 6, 3, 7, 1, 4]])
_TILES = 4
_HALF = 0.5


def draw_nonfaces(canvas: Canvas, scene: Scene, kinds: Int64) -> UInt8:
    """Draw N non-faces.

    Args:
        canvas: N images.
        scene: What a face in the same place would look like.
        kinds: int64 [N], positions in `config.KINDS`.

    Returns:
        uint8 [N, S, S, 3].
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
    return take_pictures(canvas, scene)


def split(scene: Scene, dice: int, limit: float = _HALF) -> tuple[Scene, Scene]:
    """Part the images in which a die shows less than `limit` from the others."""
    low = scene[f"dice {dice}"][:, 0, 0] < limit
    return scene.take(np.flatnonzero(low)), scene.take(np.flatnonzero(~low))


def _draw_scrambled(canvas: Canvas, scene: Scene) -> None:
    """Faces whose parts have changed places, or whose pictures were cut up."""
    moved, cut = split(scene, 0)
    if len(moved.rows):
        bare = {**moved.codes, _BEARD: np.zeros_like(moved.codes[_BEARD])}
        parts = Columns(_scramble(moved))
        draw_person(canvas, replace(moved, codes=Columns(bare), parts=parts))
    if len(cut.rows):
        draw_person(canvas, cut)
        strips, tiles = split(cut, 1)
        _shuffle(canvas, strips, _STRIPS.shape[1], 1, _STRIPS[_roll(strips, 3, len(_STRIPS))])
        _shuffle(canvas, tiles, _TILES, _TILES, _any_order(tiles, _TILES**2))


def _roll(scene: Scene, dice: int, sides: int) -> Int64:
    return (scene[f"dice {dice}"][:, 0, 0] * sides).astype(np.int64)


def _any_order(scene: Scene, count: int) -> Int64:
    """An order of so many things out of one die: int64 [M, count]."""
    die: UInt64 = (scene["dice 3"][:, :, 0] * 2**24).astype(np.uint64) * np.uint64(count)
    places = np.arange(count, dtype=np.uint64)
    return np.argsort(mix(die + places), axis=1, kind="stable")


def _scramble(scene: Scene) -> dict[str, Part]:
    """Put each part where it does not belong, askew."""
    places = _PLACES[_roll(scene, 2, len(_PLACES))].astype(np.float32)
    side = np.where(scene["dice 7"] < np.float32(_HALF), np.float32(-1), np.float32(1))
    parts = {}
    for number, name in enumerate(_PARTS):
        across, down = (places[:, number, axis, None, None] for axis in (0, 1))
        x, y = (
            place
            + np.float32(0.12) * (scene[f"dice {3 + (number + axis) % 4}"] - np.float32(_HALF))
            for axis, place in enumerate((side * across, down))
        )
        x = (x + np.float32(0.2) * scene["yaw sin"]) * scene["width"]
        angle = 2.2 * (scene[f"dice {3 + (number + 2) % 4}"] - np.float32(_HALF))
        parts[name] = Part(x, y, np.ones_like(x), np.cos(angle), np.sin(angle))
    return parts


def _shuffle(canvas: Canvas, scene: Scene, down: int, across: int, order: Int64) -> None:
    """Cut images into down × across pieces and lay them in another order.

    Args:
        canvas: Finished pictures.
        scene: M of them.
        down: Pieces of a column.
        across: Pieces of a line.
        order: int64 [M, down · across], which piece comes to each place.
    """
    if not len(scene.rows):
        return
    size, high, wide = canvas.size, canvas.size // down, canvas.size // across
    values = canvas.values[scene.rows].reshape(-1, 3, down, high, across, wide)
    pieces = values.transpose(0, 2, 4, 1, 3, 5).reshape(-1, down * across, 3, high, wide)
    pieces = np.take_along_axis(pieces, order[:, :, None, None, None], axis=1)
    pieces = pieces.reshape(-1, down, across, 3, high, wide).transpose(0, 3, 1, 4, 2, 5)
    canvas.values[scene.rows] = pieces.reshape(-1, 3, size, size)


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
