"""A few convolutions for images of 30 x 30: the second VAE of article 003 (see docs/models.md).

Sides in the encoder: 30, 26, pooled to 13, 6, pooled to 3; in the decoder: 3, 8, 27, 30. Against
the article the decoder ends in a sigmoid in place of a ReLU, so that its images stay in [0, 1].
"""

from torch import nn

from evenface_training.config import ModelConfig

_SIDE = 3  # of the innermost maps
_LAST = 3  # maps before the last convolution


def encoder(config: ModelConfig, outputs: int) -> nn.Sequential:
    """Two convolutions of `n_filters` and half as many maps, each pooled, and a linear layer."""
    n, half = config.n_filters, config.n_filters // 2
    return nn.Sequential(
        nn.Conv2d(config.channels, n, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(n, half, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(half * _SIDE**2, outputs),
    )


def decoder(config: ModelConfig, inputs: int) -> nn.Sequential:
    """A linear layer and three transposed convolutions."""
    n, half = config.n_filters, config.n_filters // 2
    return nn.Sequential(
        nn.Linear(inputs, half * _SIDE**2),
        nn.Unflatten(1, (half, _SIDE, _SIDE)),
        nn.ConvTranspose2d(half, n, 4, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(n, _LAST, 6, stride=3),
        nn.ReLU(),
        nn.ConvTranspose2d(_LAST, config.channels, 4),
        nn.Sigmoid(),
    )
