"""Images by the index, with everything that is known of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.canvas import Canvas
from evenface_training.synthetic.config import KINDS, TONE_GROUPS, SyntheticConfig
from evenface_training.synthetic.draws import Draws
from evenface_training.synthetic.faces import draw_faces
from evenface_training.synthetic.nonfaces import draw_nonfaces
from evenface_training.synthetic.scene import Scene, draw_scene

UInt8 = NDArray[np.uint8]
Labels = Mapping[str, NDArray[Any]]

VERSION = 2  # of the pictures: goes up when an index shows another image than before

_FACES, _NONFACES = 0, 1
CHUNK_PIXELS = 256 * 64 * 64  # drawn together: fewer leave calls no work, more leave the cache


@dataclass(frozen=True)
class Rendered:
    """N images and their labels.

    Attributes:
        images: uint8 [N, S, S, 3].
        labels: By column, arrays of N: texts, whole numbers, or degrees.
    """

    images: UInt8 = field(repr=False)
    labels: Labels = field(repr=False)


def render_faces(config: SyntheticConfig, start: int, count: int) -> Rendered:
    """Draw faces.

    Args:
        config: What to draw.
        start: Index of the first, from 0.
        count: How many, at least 1.

    Returns:
        The images `start` to `start + count - 1`. Each is the same whatever it is drawn with.
        Labels: `tone` (1 to 10), `tone_group`, every other factor of `Frequencies` but `kind`, and
        `yaw`, `pitch`, `roll` (degrees; turned to the picture's right, down, and clockwise are
        positive) and `light_angle` (degrees from above, clockwise).
    """
    return _render(config, start, count, _render_faces)


def render_nonfaces(config: SyntheticConfig, start: int, count: int) -> Rendered:
    """Draw hard non-faces.

    Args:
        config: What to draw.
        start: Index of the first, from 0.
        count: How many, at least 1.

    Returns:
        As `render_faces`. Labels: `kind` and `background`.
    """
    return _render(config, start, count, _render_nonfaces)


def _render(
    config: SyntheticConfig,
    start: int,
    count: int,
    draw: Callable[[SyntheticConfig, int, int], Rendered],
) -> Rendered:
    parts = [draw(config, first, some) for first, some in _chunks(config.size, start, count)]
    return joined(parts)


def joined(parts: Sequence[Rendered]) -> Rendered:
    """Lay at least one part behind the other."""
    return Rendered(
        np.concatenate([part.images for part in parts]),
        {name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
    )


def _chunks(size: int, start: int, count: int) -> Iterator[tuple[int, int]]:
    rows = max(1, CHUNK_PIXELS // (size * size))
    for first in range(start, start + count, rows):
        yield first, min(rows, start + count - first)


def _render_faces(config: SyntheticConfig, start: int, count: int) -> Rendered:
    scene = draw_scene(Draws(config.seed, _FACES, start, count), config)
    canvas = Canvas(count, config.size)
    return Rendered(draw_faces(canvas, scene), _face_labels(scene, config))


def _render_nonfaces(config: SyntheticConfig, start: int, count: int) -> Rendered:
    draws = Draws(config.seed, _NONFACES, start, count)
    scene = draw_scene(draws, config)
    kinds = draws.pick("kind", config.frequencies.kind)
    canvas = Canvas(count, config.size)
    backgrounds = np.array(list(config.frequencies.background))
    labels = {
        "kind": np.array(KINDS)[kinds],
        "background": backgrounds[scene.codes["background"]],
    }
    return Rendered(draw_nonfaces(canvas, scene, kinds), labels)


def _face_labels(scene: Scene, config: SyntheticConfig) -> Labels:
    named = config.frequencies.model_dump(exclude={"tone", "kind"})
    tone = scene.codes["tone"] + 1
    groups = np.array([name for name, tones in TONE_GROUPS.items() for _ in tones])
    light = np.arctan2(scene["light x"], -scene["light y"])[:, 0, 0]
    return {
        "tone": tone,
        "tone_group": groups[tone - 1],
        **{name: np.array(list(shares))[scene.codes[name]] for name, shares in named.items()},
        **{name: scene.degrees[:, at] for at, name in enumerate(("yaw", "pitch", "roll"))},
        "light_angle": np.degrees(light.astype(np.float64)),
    }
