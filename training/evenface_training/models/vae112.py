"""Batch norms and leaky ReLUs, upsampling in place of transposed convolutions: article 004.

There for 112 x 112 (see docs/models.md); any multiple of 16 works. Against the article,
convolutions before a batch norm have no offset of their own, which the norm would take away again.
"""

from torch import nn

from evenface_training.config import ModelConfig

_SLOPE = 0.2


def encoder(config: ModelConfig, outputs: int) -> nn.Sequential:
    """Four convolutions of n, n, 2n and 2n maps that halve the sides, and a linear layer."""
    n, side = config.n_filters, config.image_size // 16
    return nn.Sequential(
        *_down(config.channels, n),
        *_down(n, n),
        *_down(n, 2 * n),
        *_down(2 * n, 2 * n),
        nn.Flatten(),
        nn.Linear(2 * n * side * side, outputs),
    )


def decoder(config: ModelConfig, inputs: int) -> nn.Sequential:
    """A linear layer, four convolutions whose maps are enlarged twofold, and a last one."""
    n, side = config.n_filters, config.image_size // 16
    return nn.Sequential(
        nn.Linear(inputs, 2 * n * side * side),
        nn.ReLU(),
        nn.Unflatten(1, (2 * n, side, side)),
        *_up(2 * n, 2 * n),
        *_up(2 * n, 2 * n),
        *_up(2 * n, n),
        *_up(n, n),
        nn.Conv2d(n, config.channels, 3, padding=1),
        nn.Sigmoid(),
    )


def _down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """Halve height and width."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE)


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """Double height and width."""
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
        nn.Upsample(scale_factor=2),
    )
