"""The section `augmentation`: random changes to the training images."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from evenface_training.config.section import Section

_STANDARD = "standard"
_STANDARD_VALUES: Mapping[str, float] = {
    "flip": 0.5,
    "shift": 0.06,
    "scale": 0.1,
    "rotation": 10.0,
    "brightness": 0.5,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 10.0,
    "noise": 0.03,
}


class AugmentationConfig(Section):
    """Changes to each training image, drawn anew each time it is seen; each is off at 0.

    `augmentation: standard` is a set that suits face crops. An autoencoder rebuilds the image as it
    was changed.

    Attributes:
        flip: Share of the images that are mirrored.
        shift: Largest move in each direction, as a share of the side.
        scale: Largest enlargement; 0.1 is 1 / 1.1 to 1.1.
        rotation: Largest turn to either side, degrees.
        brightness: Pixels are multiplied by 1 ± this at most.
        contrast: Distances from the image's mean are multiplied by 1 ± this at most.
        saturation: Distances from grey are multiplied by 1 ± this at most.
        hue: Largest turn of the hue to either side, degrees.
        noise: Largest standard deviation of normal noise, where white is 1.
        jpeg: Share of the images that are compressed as JPEG, at quality 30 to 95.
    """

    flip: float = Field(default=0.0, ge=0, le=1)
    shift: float = Field(default=0.0, ge=0, le=0.5)
    scale: float = Field(default=0.0, ge=0, le=1)
    rotation: float = Field(default=0.0, ge=0, le=180)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=180)
    noise: float = Field(default=0.0, ge=0, le=0.5)
    jpeg: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
        if not isinstance(values, str):
            return values
        if values != _STANDARD:
            raise ValueError(f"give {_STANDARD}, or values such as {{flip: 0.5, noise: 0.03}}")
        return dict(_STANDARD_VALUES)

    @property
    def moves(self) -> bool:
        """Whether pixels change place, other than by mirroring."""
        return bool(self.shift or self.scale or self.rotation)

    @property
    def colors(self) -> bool:
        """Whether colours change."""
        return bool(self.brightness or self.contrast or self.saturation or self.hue)
