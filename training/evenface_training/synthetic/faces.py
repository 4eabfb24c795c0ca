"""A whole face, from the back to the front."""

from evenface_training.synthetic.backdrop import UInt8, draw_background, take_pictures
from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.features import draw_features
from evenface_training.synthetic.hair import draw_beards, draw_hair_behind, draw_hair_front
from evenface_training.synthetic.head import draw_body, draw_ears, draw_head
from evenface_training.synthetic.scene import Scene
from evenface_training.synthetic.wear import draw_glasses, draw_hats


def draw_faces(canvas: Canvas, scene: Scene) -> UInt8:
    """Draw N faces: uint8 [N, S, S, 3]."""
    draw_background(canvas, scene)
    draw_person(canvas, scene)
    return take_pictures(canvas, scene)


def draw_person(canvas: Canvas, scene: Scene) -> None:
    """Draw the people alone, on whatever is there."""
    draw_hair_behind(canvas, scene)
    draw_body(canvas, scene)
    draw_ears(canvas, scene, near=False)
    draw_head(canvas, scene)
    draw_ears(canvas, scene, near=True)
    draw_beards(canvas, scene)
    draw_features(canvas, scene)
    draw_hair_front(canvas, scene)
    draw_glasses(canvas, scene)
    draw_hats(canvas, scene)
