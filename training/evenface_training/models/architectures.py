"""The registry of architectures.

An architecture is one module with two functions, `encoder` and `decoder`. Listed here, and by name
in `config.model`, it trains, exports and serves like the others. What export relies on: an encoder
has one first layer with weights, and ends in a linear layer; a batch norm stands right behind its
convolution.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from evenface_training.config import ArchitectureName, ModelConfig
from evenface_training.models import conv30, lab, mlp, vae112


@dataclass(frozen=True)
class Architecture:
    """How the two halves of a model are built.

    Attributes:
        encoder: From sizes and a number of outputs O to a network from images [N, C, S, S] in
            [0, 1] to [N, O].
        decoder: From sizes and a number of inputs I to a network from [N, I] to images
            [N, C, S, S] in [0, 1].
    """

    encoder: Callable[[ModelConfig, int], nn.Sequential]
    decoder: Callable[[ModelConfig, int], nn.Sequential]


ARCHITECTURES: Mapping[ArchitectureName, Architecture] = {
    "lab": Architecture(lab.encoder, lab.decoder),
    "mlp": Architecture(mlp.encoder, mlp.decoder),
    "conv30": Architecture(conv30.encoder, conv30.decoder),
    "vae112": Architecture(vae112.encoder, vae112.decoder),
}
