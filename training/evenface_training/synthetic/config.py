"""What the synthetic benchmark draws and how often: every factor with its frequencies."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_TOLERANCE = 1e-6
_UNIFORM = "uniform"

MIN_SIZE, MAX_SIZE, SIZE_STEP = 32, 256, 8

_TONES: Mapping[int, float] = {
    1: 0.14,
    2: 0.18,
    3: 0.20,
    4: 0.18,
    5: 0.14,
    6: 0.09,
    7: 0.05,
    8: 0.010,
    9: 0.006,
    10: 0.004,
}
_SHARES: Mapping[str, Mapping[str, float]] = {
    "shape": {"oval": 0.45, "round": 0.20, "long": 0.15, "square": 0.20},
    "pose": {"frontal": 0.80, "half": 0.17, "strong": 0.03},
    "light": {"even": 0.62, "side": 0.25, "top": 0.10, "dim": 0.03},
    "hair": {
        "bald": 0.05,
        "buzz": 0.07,
        "short": 0.26,
        "parted": 0.18,
        "fringe": 0.10,
        "curly": 0.08,
        "long": 0.14,
        "wavy": 0.08,
        "bun": 0.04,
    },
    "hair_color": {"black": 0.30, "brown": 0.38, "blond": 0.18, "red": 0.04, "grey": 0.10},
    "beard": {"none": 0.84, "stubble": 0.06, "moustache": 0.02, "goatee": 0.02, "full": 0.06},
    "glasses": {"none": 0.90, "thin": 0.05, "thick": 0.03, "dark": 0.02},
    "hat": {"none": 0.950, "beanie": 0.015, "cap": 0.020, "brim": 0.010, "scarf": 0.005},
    "smile": {"frown": 0.05, "neutral": 0.40, "smile": 0.30, "teeth": 0.25},
    "background": {"plain": 0.35, "gradient": 0.30, "texture": 0.20, "clutter": 0.15},
    "kind": {
        "scrambled": 0.25,
        "clock": 0.10,
        "texture": 0.10,
        "animal": 0.20,
        "mask": 0.15,
        "bust": 0.10,
        "background": 0.10,
    },
}
HAIRS, BEARDS, GLASSES, HATS, BACKGROUNDS, KINDS = (
    tuple(_SHARES[name]) for name in ("hair", "beard", "glasses", "hat", "background", "kind")
)

TONE_GROUPS: Mapping[str, tuple[int, ...]] = {
    "light": (1, 2, 3),
    "medium": (4, 5, 6, 7),
    "dark": (8, 9, 10),
}
POSE_DEGREES: Mapping[str, tuple[float, float]] = {
    "frontal": (0.0, 15.0),
    "half": (15.0, 30.0),
    "strong": (30.0, 50.0),
}


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class Frequencies(_Section):
    """How often each value of each factor is drawn; factors are independent of each other.

    Each is a mapping of values to shares that add up to 1, where values that are not named do not
    occur, or the word `uniform`.
    The defaults have the bias of collected portraits: dark tones (2 % together), strong yaw, dim
    light, hats, glasses and beards are rare. They are chosen, and copy no particular data set.

    Attributes:
        tone: Skin tone, 1 (lightest) to 10 (darkest) of the Monk Skin Tone scale.
        shape: Shape of the face.
        pose: Yaw: `frontal` up to 15°, `half` up to 30°, `strong` up to 50°, to either side.
        light: Even, from the side, from the top, or little of it.
        hair: Style of the hair.
        hair_color: Its colour; eyebrows and beard have it too.
        beard: Beard.
        glasses: Glasses with thin or thick frames, or with dark lenses.
        hat: Hat or headscarf.
        smile: The mouth: corners down, level, up, or up with teeth.
        background: What is behind the head, for non-faces too.
        kind: Kind of non-face.
    """

    tone: Mapping[int, float] = _TONES
    shape: Mapping[str, float] = _SHARES["shape"]
    pose: Mapping[str, float] = _SHARES["pose"]
    light: Mapping[str, float] = _SHARES["light"]
    hair: Mapping[str, float] = _SHARES["hair"]
    hair_color: Mapping[str, float] = _SHARES["hair_color"]
    beard: Mapping[str, float] = _SHARES["beard"]
    glasses: Mapping[str, float] = _SHARES["glasses"]
    hat: Mapping[str, float] = _SHARES["hat"]
    smile: Mapping[str, float] = _SHARES["smile"]
    background: Mapping[str, float] = _SHARES["background"]
    kind: Mapping[str, float] = _SHARES["kind"]

    @field_validator("*", mode="before")
    @classmethod
    def _spread(cls, shares: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - whatever is in a file
        """Let the word `uniform` stand for equal shares of all values."""
        known = cls._known(info)
        return dict.fromkeys(known, 1 / len(known)) if shares == _UNIFORM else shares

    @field_validator("*")
    @classmethod
    def _complete(cls, shares: Mapping[Any, float], info: ValidationInfo) -> dict[Any, float]:
        """Check shares and give every known value one, in the order of the defaults."""
        known = cls._known(info)
        unknown = [str(value) for value in shares if value not in known]
        if unknown:
            raise ValueError(f"unknown {_listed(unknown)}; known are {_listed(known)}")
        negative = [f"{value}: {share}" for value, share in shares.items() if share < 0]
        if negative:
            raise ValueError(f"a share is below 0 ({_listed(negative)})")
        total = math.fsum(shares.values())
        if abs(total - 1) > _TOLERANCE:
            raise ValueError(f"the shares add up to {total:g}, not to 1; what is not named has 0")
        return {value: shares.get(value, 0.0) for value in known}

    @classmethod
    def _known(cls, info: ValidationInfo) -> Mapping[Any, float]:
        """The default of a factor, which has all its values."""
        assert info.field_name is not None  # noqa: S101 - only fields are validated
        known: Mapping[Any, float] = cls.model_fields[info.field_name].default
        return known


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


class SyntheticScenes(_Section):
    """What scenes there are, whatever size they are drawn in.

    Attributes:
        seed: Another seed gives other images throughout.
        max_roll: Largest tilt of the head to a shoulder, degrees.
        max_pitch: Largest nod up or down, degrees.
        frequencies: How often each value of each factor is drawn.
    """

    seed: int = Field(default=0, ge=0, lt=2**64)
    max_roll: float = Field(default=12.0, ge=0, le=45)
    max_pitch: float = Field(default=8.0, ge=0, le=20)
    frequencies: Frequencies = Frequencies()


class SyntheticConfig(SyntheticScenes):
    """All that decides what image an index has.

    Attributes:
        size: Height and width in pixels; the same scene at every size.
    """

    size: int = Field(default=64, ge=MIN_SIZE, le=MAX_SIZE, multiple_of=SIZE_STEP)
