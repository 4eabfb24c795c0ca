"""The section `model`: shape of the network."""

from typing import Literal

from pydantic import Field

from evenface_training.config.section import Section

Kind = Literal["cnn", "vae", "dbvae"]


class ModelConfig(Section):
    """Shape of the network (see `models.FaceModel`).

    Attributes:
        kind: `cnn` classifies, `vae` encodes and decodes, `dbvae` does both.
        image_size: Height and width in pixels; four stride-2 convolutions need a multiple of 16.
        channels: 1 for gray, 3 for RGB.
        latent_size: Length L of a latent.
        n_filters: Width of the first convolution; the others have 2, 4 and 6 times as many.
        hidden_size: Units of the encoder's dense layer.
    """

    kind: Kind = "dbvae"
    image_size: int = Field(default=64, ge=16, le=1024, multiple_of=16)
    channels: Literal[1, 3] = 3
    latent_size: int = Field(default=100, ge=1)
    n_filters: int = Field(default=12, ge=1)
    hidden_size: int = Field(default=512, ge=1)

    @property
    def classifies(self) -> bool:
        """Whether the model tells face from non-face."""
        return self.kind != "vae"

    @property
    def generates(self) -> bool:
        """Whether the model has latents and a decoder."""
        return self.kind != "cnn"
