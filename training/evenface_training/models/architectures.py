"""The registry of architectures.

An architecture is one module with two functions, `encoder` and `decoder`. Listed here, and by name
in `config.model`, it trains, exports and serves like the others. What export relies on: an encoder
has one first layer with weights, and ends in a linear layer; a batch norm stands right behind its
convolution. An encoder may have such a network and a linear path beside it (`residual.Beside`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from evenface_training.config import ArchitectureName, ModelConfig
from evenface_training.models import colouring, conv30, lab, mlp, residual, vae112


@dataclass(frozen=True)
class Architecture:
    """How the two halves of a model are built.

    Attributes:
        encoder: From sizes and a number of outputs O to a network from images [N, C, S, S] in
            [0, 1] to [N, O].
        decoder: From sizes and a number of inputs I to a network from [N, I] to images
            [N, C, S, S] in [0, 1].
        start: Replaces random weights of a model with latents by what principal components of the
            training images say, where the architecture has use for them (see `residual.start`).
    """

    encoder: Callable[[ModelConfig, int], nn.Sequential | residual.Beside]
    decoder: Callable[[ModelConfig, int], nn.Sequential]
    start: (
        Callable[
            [nn.Sequential | residual.Beside, nn.Sequential, ModelConfig, residual.FitComponents],
            None,
        ]
        | None
    ) = None


ARCHITECTURES: Mapping[ArchitectureName, Architecture] = {
    "lab": Architecture(lab.encoder, lab.decoder),
    "mlp": Architecture(mlp.encoder, mlp.decoder),
    "conv30": Architecture(conv30.encoder, conv30.decoder),
    "vae112": Architecture(vae112.encoder, vae112.decoder),
    "residual": Architecture(residual.encoder, residual.decoder, residual.start),
    "colouring": Architecture(colouring.encoder, colouring.decoder),
}
