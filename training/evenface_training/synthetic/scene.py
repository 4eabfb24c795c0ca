"""What is in each image: factors as labels, and the measures and colours drawn from them.

Lengths are in head units: a head reaches from -1 (crown) to 1 (chin), y points down.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic import palette
from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.config import POSE_DEGREES, SyntheticConfig
from evenface_training.synthetic.draws import Draws, as_color, as_plane

Int64 = NDArray[np.int64]
V = TypeVar("V", Int64, Float32, "Part")

_FACTORS = (
    "tone",
    "shape",
    "pose",
    "light",
    "hair",
    "hair_color",
    "beard",
    "glasses",
    "hat",
    "smile",
    "background",
)
# By shape of the face: half its width, how much the jaw narrows, how square it is below.
_SHAPES = np.array(
    [[0.74, 0.40, 0.10], [0.82, 0.30, 0.20], [0.67, 0.36, 0.15], [0.77, 0.22, 0.55]], np.float32
)
# By smile: how far the corners rise, how wide the mouth opens, its width.
_MOUTHS = np.array(
    [[-0.09, 0.0, 0.25], [0.0, 0.0, 0.27], [0.11, 0.0, 0.32], [0.13, 0.075, 0.36]], np.float32
)
# By light: ambient, directed, all in all.
_LIGHTS = np.array(
    [[0.58, 0.41, 1.0], [0.36, 0.70, 1.0], [0.40, 0.62, 1.0], [0.52, 0.44, 0.42]], np.float32
)
# Middle of a head (across, down) and its scale, where half an image is 1: a value, how far around.
ACROSS, MIDDLE, SCALE = (0.0, 0.08), (0.02, 0.07), (0.62, 0.06)
CLUTTER = 6  # things in a cluttered background
DICE = 8  # plain numbers, for what non-faces decide
_TEXTURES = 3

_EYE_X, _EYE_Y, _NOSE_Y, _MOUTH_Y = 0.31, -0.02, 0.30, 0.58


class Columns(Mapping[str, V]):
    """By name, arrays with an entry for each of N images; of those asked for, the wanted rows.

    Args:
        values: Arrays, or parts of a head, of M ≥ N images.
        rows: int64 [N], which of them; None for all.
    """

    def __init__(self, values: Mapping[str, V], rows: Int64 | None = None) -> None:
        self._values: Mapping[str, V] = values
        self._rows = rows
        self._taken: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if self._rows is None:
            return self._values[name]
        if name not in self._taken:
            self._taken[name] = _take(self._values[name], self._rows)
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def take(self, rows: Int64) -> "Columns[V]":
        """Keep some rows only."""
        return Columns(self._values, rows if self._rows is None else self._rows[rows])


@dataclass(frozen=True)
class Part:
    """Where a feature lies on the head; float32 [N, 1, 1] each.

    Attributes:
        x: Its middle, across.
        y: Its middle, down.
        squeeze: How much narrower than from the front it looks.
        cos: Its turn within the picture, on top of the head's.
        sin: The same.
    """

    x: Float32
    y: Float32
    squeeze: Float32
    cos: Float32
    sin: Float32


def _take(value: V, rows: Int64) -> V:
    if isinstance(value, Part):
        return Part(
            value.x[rows], value.y[rows], value.squeeze[rows], value.cos[rows], value.sin[rows]
        )
    return value[rows]


@dataclass(frozen=True)
class Scene:
    """N heads and what is around them; all arrays have N as their first dimension.

    Attributes:
        rows: int64 [N], rows of the canvas.
        codes: By factor, int64 [N], positions in its frequencies.
        measures: By name, float32 [N, 1, 1].
        colors: By name, float32 [N, 3, 1, 1].
        parts: Eyes, nose and mouth.
        offsets: int64 [N, 2], for noise.
        degrees: float64 [N, 3]: yaw, pitch, roll.
        slope: Sine of the largest roll that any image of this configuration may have.
    """

    rows: Int64 = field(repr=False)
    codes: Columns[Int64] = field(repr=False)
    measures: Columns[Float32] = field(repr=False)
    colors: Columns[Float32] = field(repr=False)
    parts: Columns[Part] = field(repr=False)
    offsets: Int64 = field(repr=False)
    degrees: NDArray[np.float64] = field(repr=False)
    slope: float

    def take(self, rows: Int64) -> "Scene":
        """Keep some images only: int64 [M], rows of this scene."""
        return Scene(
            rows=self.rows[rows],
            codes=self.codes.take(rows),
            measures=self.measures.take(rows),
            colors=self.colors.take(rows),
            parts=self.parts.take(rows),
            offsets=self.offsets[rows],
            degrees=self.degrees[rows],
            slope=self.slope,
        )

    def where(self, factor: str, code: int) -> "Scene":
        """The images in which a factor has this value."""
        return self.take(np.flatnonzero(self.codes[factor] == code))

    def __getitem__(self, name: str) -> Float32:
        return self.measures[name]


def draw_scene(draws: Draws, config: SyntheticConfig) -> Scene:
    """Choose everything that N faces show."""
    shares = config.frequencies.model_dump()
    codes = {name: draws.pick(name, shares[name]) for name in _FACTORS}
    degrees = _draw_degrees(draws, codes["pose"], config)
    measures = {
        **_draw_frame(draws, degrees),
        **_draw_build(draws, codes),
        **_draw_light(draws, codes["light"]),
        **_draw_surroundings(draws),
    }
    codes["texture"] = draws.one_of("texture", _TEXTURES)
    return Scene(
        rows=np.arange(draws.count),
        codes=Columns(codes),
        measures=Columns(measures),
        colors=Columns(_draw_colors(draws, codes)),
        parts=Columns(_place_parts(measures)),
        offsets=np.stack([draws.one_of(f"noise {axis}", config.size) for axis in "yx"], axis=1),
        degrees=degrees,
        slope=float(np.sin(np.radians(config.max_roll))),
    )


def _draw_degrees(draws: Draws, pose: Int64, config: SyntheticConfig) -> NDArray[np.float64]:
    low, high = np.array(list(POSE_DEGREES.values()))[pose].T
    side = np.where(draws.unit("side of yaw") < 0.5, -1.0, 1.0)  # noqa: PLR2004 - a coin
    yaw = side * (low + (high - low) * draws.unit("yaw"))
    pitch, roll = (
        limit * (draws.unit(f"{name} a") + draws.unit(f"{name} b") - 1)
        for name, limit in (("pitch", config.max_pitch), ("roll", config.max_roll))
    )
    return np.stack([yaw, pitch, roll], axis=1)


def _draw_frame(draws: Draws, degrees: NDArray[np.float64]) -> dict[str, Float32]:
    yaw, pitch, roll = np.radians(degrees).T
    return {
        "x": draws.around("x", *ACROSS),
        "y": draws.around("y", *MIDDLE),
        "scale": draws.around("scale", *SCALE),
        "cos": as_plane(np.cos(roll)),
        "sin": as_plane(np.sin(roll)),
        "yaw cos": as_plane(np.cos(yaw)),
        "yaw sin": as_plane(np.sin(yaw)),
        "nod": as_plane(np.sin(pitch)),
    }


def _draw_build(draws: Draws, codes: Mapping[str, Int64]) -> dict[str, Float32]:
    width, jaw, square = (as_plane(column) for column in _SHAPES[codes["shape"]].T)
    rise, opening, mouth = (as_plane(column) for column in _MOUTHS[codes["smile"]].T)
    return {
        "width": width * draws.around("width", 1.0, 0.05),
        "jaw": jaw * draws.around("jaw", 1.0, 0.2),
        "square": square,
        "eye": draws.around("eye", 0.165, 0.02),
        "lid": draws.around("lid", 0.085, 0.025) - 0.15 * np.maximum(rise, 0),
        "slant": draws.around("slant", 0.0, 0.03),
        "gaze": draws.around("gaze", 0.0, 0.03),
        "brow": draws.around("brow", 0.042, 0.02),
        "arch": draws.around("arch", 0.06, 0.04),
        "nose": draws.around("nose", 0.135, 0.035),
        "mouth": mouth * draws.around("mouth", 1.0, 0.12),
        "rise": rise * draws.uniform("rise", 0.7, 1.2),
        "open": opening * draws.uniform("open", 0.7, 1.3),
        "lips": draws.around("lips", 0.065, 0.025),
        "neck": draws.around("neck", 0.46, 0.07),
        "shoulders": draws.around("shoulders", 1.0, 0.25),
        "collar": draws.unit("collar").astype(np.float32)[:, None, None],
        "hair length": draws.uniform("hair length", 0.0, 1.0),
        "hair line": draws.around("hair line", -0.60, 0.07),
        "hair side": as_plane(np.where(draws.unit("hair side") < 0.5, -1.0, 1.0)),  # noqa: PLR2004
        "glasses": draws.around("glasses", 1.0, 0.12),
        "grain": draws.uniform("grain", 0.0, 0.05),
    }


def _draw_light(draws: Draws, light: Int64) -> dict[str, Float32]:
    ambient, directed, exposure = (as_plane(column) for column in _LIGHTS[light].T)
    side = np.where(draws.unit("side of light") < 0.5, -1.0, 1.0)  # noqa: PLR2004 - a coin
    across = side * np.choose(light, [0.25, 0.85, 0.1, 0.4])
    down = np.choose(light, [-0.35, -0.15, -0.90, -0.3])
    across = across + 0.15 * (draws.unit("light across") - 0.5)
    length = np.sqrt(across**2 + down**2 + np.choose(light, [0.8, 0.45, 0.35, 0.8]) ** 2)
    return {
        "ambient": ambient * draws.around("ambient", 1.0, 0.06),
        "directed": directed,
        "exposure": exposure * draws.around("exposure", 1.0, 0.08),
        "light x": as_plane(across / length),
        "light y": as_plane(down / length),
        "light z": as_plane(np.choose(light, [0.8, 0.45, 0.35, 0.8]) / length),
    }


def _draw_surroundings(draws: Draws) -> dict[str, Float32]:
    angle = 2 * np.pi * draws.unit("slope")
    measures = {"slope x": as_plane(np.cos(angle)), "slope y": as_plane(np.sin(angle))}
    for number in range(CLUTTER):
        name = f"clutter {number}"
        measures[f"{name} x"] = draws.uniform(f"{name} x", -1.1, 1.1)
        measures[f"{name} y"] = draws.uniform(f"{name} y", -1.1, 1.1)
        measures[f"{name} wide"] = draws.uniform(f"{name} wide", 0.08, 0.5)
        measures[f"{name} high"] = draws.uniform(f"{name} high", 0.08, 0.6)
    for number in range(DICE):
        measures[f"dice {number}"] = draws.uniform(f"dice {number}", 0.0, 1.0)
    return measures


def _draw_colors(draws: Draws, codes: Mapping[str, Int64]) -> dict[str, Float32]:
    skin = draws.jittered("skin", as_color(palette.SKIN[codes["tone"]]), 0.015)
    lip = skin * 0.62 + draws.color("lip", palette.LIP, 0.02) * 0.30
    return {
        "skin": skin,
        "lip": lip,
        "hair": draws.jittered("hair", as_color(palette.HAIR[codes["hair_color"]]), 0.05),
        "iris": draws.color("iris", palette.IRIS, 0.03),
        "cloth": draws.color("cloth", palette.CLOTH, 0.05),
        "trim": draws.color("trim", palette.CLOTH, 0.05),
        "hat": draws.color("hat color", palette.HAT, 0.05),
        "rim": draws.color("rim", palette.RIM),
        "back": draws.color("back", palette.BACKDROP, 0.06),
        "other": draws.color("other", palette.BACKDROP, 0.06),
        "fur": draws.color("fur", palette.FUR, 0.05),
        "mask": draws.color("mask", palette.MASK, 0.04),
        **{
            f"clutter {number}": draws.color(f"clutter {number}", palette.CLUTTER, 0.08)
            for number in range(CLUTTER)
        },
    }


def _place_parts(measures: Mapping[str, Float32]) -> dict[str, Part]:
    """Where eyes, nose and mouth of a turned head appear."""
    return {
        "left eye": _place(measures, -_EYE_X, _EYE_Y, 0.0),
        "right eye": _place(measures, _EYE_X, _EYE_Y, 0.0),
        "nose": _place(measures, 0.0, _NOSE_Y, 0.22),
        "mouth": _place(measures, 0.0, _MOUTH_Y, -0.10),
    }


def _place(measures: Mapping[str, Float32], x: float, y: float, out: float) -> Part:
    """Turn a point of the head's surface, `out` before it, by yaw and pitch."""
    width, cos, sin = measures["width"], measures["yaw cos"], measures["yaw sin"]
    x_front = x / 0.74 * width
    depth = np.sqrt(np.maximum(0.95 * width * width - x_front * x_front - 0.12 * y * y, 0.05))
    forward = depth + np.float32(out)
    turned = x_front * cos + forward * sin
    squeeze = np.maximum(cos - sin * x_front / depth, np.float32(0.3))
    one = np.ones_like(turned)
    return Part(turned, y + 0.8 * measures["nod"] * forward, squeeze, one, 0 * one)
