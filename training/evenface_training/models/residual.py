"""Principal components with a residual network beside them, in the encoder and in the decoder.

mean = A x + network(x), image = B z + b + network(z): the linear path is fixed and, started from
principal components, rebuilds as much of an image as a linear model can. The networks learn what
that leaves; their last layers then start at zero, so that training goes on from there (residual
learning: He, Zhang, Ren & Sun, CVPR 2016). There are no norms, which so shallow a residual network
does without. The decoder's network sees its linear image and mends it patch by patch; its last maps
are rearranged to pixels (sub-pixel convolution: Shi et al., CVPR 2016).

Patches are of 4 x 4 pixels. Above 64 x 64 the linear path works on a smaller image, and patches
grow as much, so that 128 x 128 costs little more than 64 x 64.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evenface_training.config import ModelConfig
from evenface_training.principal import PrincipalComponents

_PATCH = 4
_COARSE = 4  # parts of the inner maps that share what the decoder's network is told of the latent

FitComponents = Callable[[int, int], PrincipalComponents]


class FixedLinear(nn.Module):
    """weight x + bias that is saved, averaged and exported, but not trained.

    Args:
        inputs: I.
        outputs: O.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        random = nn.Linear(inputs, outputs)
        self.register_buffer("weight", random.weight.detach())
        self.register_buffer("bias", random.bias.detach())

    def forward(self, values: Tensor) -> Tensor:
        """Map [N, I] to [N, O]."""
        return functional.linear(values, self.weight, self.bias)


class Beside(nn.Module):
    """A network, and a linear path that adds to some of its outputs.

    Args:
        network: From images to [N, O].
        linear: From images to [N, L].
        first: The first of the L outputs that the linear path adds to.
    """

    def __init__(self, network: nn.Sequential, linear: nn.Sequential, first: int) -> None:
        super().__init__()
        self.network, self.linear, self.first = network, linear, first

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, C, S, S] to [N, O]."""
        outputs: Tensor = self.network(images)
        added: Tensor = self.linear(images)
        after = outputs.shape[1] - self.first - added.shape[1]
        return outputs + functional.pad(added, (self.first, after))


class Block(nn.Module):
    """x + network(x), of two convolutions.

    Args:
        maps: Number of maps, in and out.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.ReLU(), _convolution(maps, maps), nn.ReLU(), _convolution(maps, maps)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, maps, H, W] to the same shape."""
        changed: Tensor = self.network(maps)
        return maps + changed


class Mended(nn.Module):
    """The decoder: a linear image, and a network that mends it.

    Args:
        config: Sizes.
        inputs: I, latent and conditions.
    """

    def __init__(self, config: ModelConfig, inputs: int) -> None:
        super().__init__()
        n, self.pool = 2 * config.n_filters, pooling(config)
        self.shape = (config.channels, config.image_size // self.pool)
        inner = self.shape[1] // _PATCH
        self.linear = FixedLinear(inputs, config.channels * self.shape[1] ** 2)
        self.told = nn.Sequential(
            nn.Linear(inputs, n * _COARSE**2),
            nn.Unflatten(1, (n, _COARSE, _COARSE)),
            nn.Upsample(scale_factor=inner // _COARSE),
        )
        self.first = _convolution(config.channels * _PATCH**2, n)
        self.blocks = nn.Sequential(Block(n), Block(n), nn.ReLU())
        self.last = _convolution(n, config.channels * (_PATCH * self.pool) ** 2)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [N, I] to images [N, C, S, S]."""
        channels, side = self.shape
        image = self.linear(latents).unflatten(1, (channels, side, side))
        patches = functional.pixel_unshuffle(image, _PATCH)
        maps: Tensor = self.blocks(self.first(patches) + self.told(latents))
        if self.pool > 1:
            image = functional.interpolate(image, scale_factor=float(self.pool), mode="bilinear")
        mended: Tensor = image + functional.pixel_shuffle(self.last(maps), _PATCH * self.pool)
        return mended


def encoder(config: ModelConfig, outputs: int) -> nn.Sequential | Beside:
    """Convolutions of n, 2n and 4n maps on patches, a linear layer; and the linear path."""
    n, pool = config.n_filters, pooling(config)
    side, patch = config.image_size // pool, _PATCH * pool
    innermost = config.image_size // patch // 4
    network = nn.Sequential(
        nn.Conv2d(config.channels, n, patch, stride=patch),
        Block(n),
        nn.ReLU(),
        _convolution(n, 2 * n, stride=2),
        Block(2 * n),
        nn.ReLU(),
        _convolution(2 * n, 4 * n, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * n * innermost**2, outputs),
    )
    if not config.generates:
        return network
    linear = nn.Sequential(
        *([nn.AvgPool2d(pool)] if pool > 1 else []),
        nn.Flatten(),
        FixedLinear(config.channels * side**2, config.latent_size),
    )
    return Beside(network, linear, first=int(config.classifies))


def decoder(config: ModelConfig, inputs: int) -> nn.Sequential:
    """The linear image and the network that mends it, cut off at 0 and 1."""
    return nn.Sequential(Mended(config, inputs), nn.Hardtanh(0.0, 1.0))


def pooling(config: ModelConfig) -> int:
    """How many times smaller a side is where the linear path works."""
    return max(1, config.image_size // 64)


@torch.no_grad()
def start(
    encoding: nn.Sequential | Beside,
    decoding: nn.Sequential,
    config: ModelConfig,
    fit: FitComponents,
) -> None:
    """Start both halves as principal components, whose latents are near N(0, 1).

    The log-variances start as those of probabilistic principal components (Tipping & Bishop,
    "Probabilistic principal component analysis", 1999): the variance along what is left out over
    that along the component.

    Args:
        encoding: Of `encoder`, on the CPU, of a model with latents.
        decoding: Of `decoder`.
        config: Their sizes.
        fit: From a number of components and a pooling to components of the training images.
    """
    beside, mended = cast(Beside, encoding), cast(Mended, decoding[0])
    inward, outward = cast(FixedLinear, beside.linear[-1]), mended.linear
    found = fit(config.latent_size, pooling(config))
    components, centre = _planes(found.components, config), _planes(found.centre[:, None], config)
    deviations = torch.from_numpy(found.variances).sqrt()
    count = len(deviations)  # fewer than the latent is long, where there are few images
    for tensor in (inward.weight, inward.bias, outward.weight):
        tensor.zero_()
    inward.weight[:count] = (components / deviations).T
    inward.bias[:count] = -(centre.T @ components)[0] / deviations
    outward.weight[:, :count] = components * deviations
    outward.bias.copy_(centre[:, 0])
    posterior = cast(nn.Linear, beside.network[-1])
    for tensor in (posterior.weight[beside.first :], posterior.bias[beside.first :]):
        tensor.zero_()
    narrow = (found.rest / deviations.square()).log().clamp(max=0.0)
    posterior.bias[beside.first + config.latent_size :][:count] = narrow
    for tensor in mended.last.parameters():
        tensor.zero_()


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _planes(columns: NDArray[np.float32], config: ModelConfig) -> Tensor:
    """Columns of pixels in the order S, S, C to columns in the order C, S, S."""
    side = config.image_size // pooling(config)
    tensor = torch.from_numpy(columns).view(side, side, config.channels, -1)
    return tensor.permute(2, 0, 1, 3).flatten(0, 2)
