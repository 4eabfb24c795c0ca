"""The section `model`: shape of the network."""

from typing import Literal, Self

from pydantic import Field, model_validator

from evenface_training.config.section import Section

Kind = Literal["cnn", "vae", "dbvae", "colorizer"]
ArchitectureName = Literal["lab", "mlp", "conv30", "vae112", "residual", "colouring"]

_HALVED_FOUR_TIMES = ("lab", "vae112")
_CONV30 = 30


class ModelConfig(Section):
    """Shape of the network (see `models.FaceModel`).

    Attributes:
        kind: `cnn` classifies, `vae` encodes and decodes, `dbvae` does both; `colorizer` turns grey
            images into coloured ones.
        architecture: A module of `models`: `lab` (the lab's convolutions), `mlp` (dense layers
            alone), `conv30` (few convolutions), `vae112` (upsampling, leaky ReLU), `residual`
            (principal components and a network beside them), `colouring` (widening convolutions,
            of a `colorizer` and none other).
        image_size: Height and width in pixels. `lab` and `vae112` halve them four times and need a
            multiple of 16, `conv30` is for 30, `residual` needs a multiple of 16, from 128
            on of 32, from 192 on of 48, and so on.
        channels: 1 for gray, 3 for RGB.
        latent_size: Length L of a latent.
        n_filters: Width of the first convolution; the others are multiples of it. Not of `mlp`.
        hidden_size: Units of the encoder's first dense layer, of `lab` and `mlp`.
        conditions: Columns of `data.labels`, of -1, 0 and 1, that the decoder is told beside the
            latent and the encoder beside the image.
        untold_fraction: Share of the training faces whose conditions the encoder is not told, so
            that it learns to do without: a server encodes images alone.
        input_noise: Deviation of the noise on a colorizer's input in training, where white is 1.
    """

    kind: Kind = "dbvae"
    architecture: ArchitectureName = "lab"
    image_size: int = Field(default=64, ge=16, le=1024)
    channels: Literal[1, 3] = 3
    latent_size: int = Field(default=100, ge=1)
    n_filters: int = Field(default=12, ge=1)
    hidden_size: int = Field(default=512, ge=1)
    conditions: tuple[str, ...] = ()
    untold_fraction: float = Field(default=0.5, ge=0, le=1)
    input_noise: float = Field(default=0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        size, name = self.image_size, self.architecture
        if name in _HALVED_FOUR_TIMES and size % 16:
            raise ValueError(f"image_size {size}: architecture {name} needs a multiple of 16")
        patches = 16 * max(1, size // 64)
        if name == "residual" and size % patches:
            raise ValueError(
                f"image_size {size}: architecture residual needs a multiple of {patches}"
            )
        if name == "conv30" and size != _CONV30:
            raise ValueError(f"image_size {size}: architecture conv30 needs {_CONV30}")
        if name == "conv30" and self.n_filters < 2:  # noqa: PLR2004 - it is halved
            raise ValueError(f"n_filters {self.n_filters}: architecture conv30 needs at least 2")
        return self

    @model_validator(mode="after")
    def _conditions_fit(self) -> Self:
        if self.conditions and not self.generates:
            raise ValueError(f"conditions need latents, which kind {self.kind} lacks")
        twice = {name for name in self.conditions if self.conditions.count(name) > 1}
        if twice:
            raise ValueError(f"conditions name '{min(twice)}' twice")
        return self

    @model_validator(mode="after")
    def _colorizer_fits(self) -> Self:
        if self.colours != (self.architecture == "colouring"):
            raise ValueError("kind colorizer and architecture colouring need each other")
        if self.colours and self.channels == 1:
            raise ValueError("channels 1: kind colorizer learns from images in colour, channels 3")
        return self

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise that one face takes in training; empty where it takes none."""
        if self.colours:
            return (1, self.image_size, self.image_size)
        return (self.latent_size,) if self.generates else ()

    @property
    def colours(self) -> bool:
        """Whether the model colours grey images."""
        return self.kind == "colorizer"

    @property
    def classifies(self) -> bool:
        """Whether the model tells face from non-face."""
        return self.kind in ("cnn", "dbvae")

    @property
    def generates(self) -> bool:
        """Whether the model has latents and a decoder."""
        return self.kind in ("vae", "dbvae")
