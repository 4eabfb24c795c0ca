"""The functions of a bundle as torch modules, in the form in which they are exported.

They take and give what a bundle's graphs do (see `evenface_core.manifest.Function`). Batch norms
and the division by 255 are folded into the layers of a copy; the model stays as it is. Encode is a
conditional model's encoder that is told nothing.
"""

import copy
from collections.abc import Iterable
from typing import cast

import torch
from evenface_core.manifest import FunctionName
from evenface_training.models import Beside, FaceModel
from evenface_training.models.residual import FixedLinear
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WHITE = 255.0


class Encode(nn.Module):
    """uint8 [N, S, S, C] to `mean` and `log_variance`, float32 [N, D], and `logits`, float32 [N].

    Args:
        network: Pixels [N, C, S, S] in 0 to 255 to [N, 2 D], or [N, 1 + 2 D] with logits.
        classifies: Whether there are logits.
    """

    def __init__(self, network: nn.Module, *, classifies: bool) -> None:
        super().__init__()
        self.network = network
        self.classifies = classifies

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode."""
        outputs = self.network(_planes(images, self.network)).float()
        if not self.classifies:
            return cast(tuple[Tensor, ...], outputs.chunk(2, dim=1))
        mean, log_variance = outputs[:, 1:].chunk(2, dim=1)
        return mean, log_variance, outputs[:, 0]


class Classify(nn.Module):
    """uint8 [N, S, S, C] to `logits`, float32 [N].

    Args:
        network: Pixels [N, C, S, S] in 0 to 255 to [N, 1].
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Classify."""
        outputs: Tensor = self.network(_planes(images, self.network))
        return outputs.float().squeeze(1)


class Decode(nn.Module):
    """Latents float32 [N, D] to `images` uint8 [N, S, S, C].

    A conditional model's takes conditions float32 [N, K], too.

    Args:
        network: [N, D + K] to [N, C, S, S] in 0 to 1.
    """

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Decode."""
        if conditions is not None:
            latents = torch.cat([latents, conditions], dim=1)
        planes: Tensor = self.network(latents.to(_dtype(self.network)))
        return _levels(planes)


class Colorize(nn.Module):
    """Grey images uint8 [N, S, S, 1] to `painted` uint8 [N, S, S, 3].

    Args:
        network: Pixels [N, 1, S, S] in 0 to 255 to [N, 3, S, S] in 0 to 1.
    """

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Colour."""
        return _levels(self.network(_planes(images, self.network)))


def build_modules(model: FaceModel) -> dict[FunctionName, nn.Module]:
    """Take a model apart into the functions that its kind has.

    Args:
        model: In eval mode; it is not changed.

    Returns:
        By function: a module of its own weights, in eval mode.
    """
    config = model.config
    modules: dict[FunctionName, nn.Module] = {}
    if config.generates:
        modules["encode"] = Encode(_fold(model.encoder, slice(None)), classifies=config.classifies)
    if config.colours and model.decoder is not None:
        modules["colorize"] = Colorize(_for_pixels(_without_norms(model.decoder)))
    elif model.decoder is not None:
        modules["decode"] = Decode(nn.Sequential(*_without_norms(model.decoder)).float())
    if config.classifies:
        modules["classify"] = Classify(_fold(model.encoder, slice(0, 1)))
    return {name: module.eval() for name, module in modules.items()}


def halved(module: nn.Module) -> nn.Module:
    """Copy a module with float16 weights and arithmetic; what goes in and out stays float32."""
    return copy.deepcopy(module).half()


def _levels(planes: Tensor) -> Tensor:
    levels = (planes.float() * WHITE).clamp(0.0, WHITE).round()
    return levels.permute(0, 2, 3, 1).to(torch.uint8)


def _planes(images: Tensor, network: nn.Module) -> Tensor:
    return images.permute(0, 3, 1, 2).to(_dtype(network))


def _dtype(network: nn.Module) -> torch.dtype:
    return next(network.parameters()).dtype


def _fold(encoder: nn.Sequential | Beside, outputs: slice) -> nn.Module:
    """Copy an encoder without batch norms, for pixels of 0 to 255, with some of its outputs."""
    if isinstance(encoder, Beside):
        return _fold_beside(encoder, outputs)
    folded = _without_norms(encoder)
    last = cast(nn.Linear, folded[-1])
    last.weight.data, last.bias.data = last.weight.data[outputs], last.bias.data[outputs]
    return _for_pixels(folded)


def _for_pixels(layers: list[nn.Module]) -> nn.Sequential:
    """Fold the division of pixels by 255 into the first layer."""
    _first(layers).weight.data /= WHITE
    return nn.Sequential(*layers).float()


def _fold_beside(encoder: Beside, outputs: slice) -> nn.Module:
    """The same of an encoder with a linear path, which adds to all but the logit."""
    network = cast(nn.Sequential, _fold(encoder.network, outputs))
    if outputs.stop is not None:
        return network
    linear = copy.deepcopy(encoder.linear).double()
    _first(linear).weight.data /= WHITE
    return Beside(network, linear.float(), first=encoder.first)


def _first(layers: Iterable[nn.Module]) -> nn.Conv2d | nn.Linear | FixedLinear:
    """The first layer with weights."""
    return next(layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear | FixedLinear))


def _without_norms(network: nn.Sequential) -> list[nn.Module]:
    """Copy layers, each batch norm folded into the convolution before it."""
    # In float64, so that folding adds no rounding of its own.
    layers = list(copy.deepcopy(network).double().eval())
    folded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = cast(nn.Conv2d, folded.pop())
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            folded.append(fuse_conv_bn_eval(convolution, layer, transpose=transposed))
        else:
            folded.append(layer)
    return folded
