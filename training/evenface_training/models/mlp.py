"""Dense layers alone, for small images: the first VAE of article 003 (see docs/models.md).

There, pixels - 512 - 96 - 25 - two layers for mean and log-variance, and the way back through the
same widths. The two layers are one here. Against the article the decoder ends in a sigmoid, so that
its images stay in [0, 1].
"""

from torch import nn

from evenface_training.config import ModelConfig

_WIDTHS = (96, 25)  # after `hidden_size`


def encoder(config: ModelConfig, outputs: int) -> nn.Sequential:
    """Dense layers of `hidden_size`, 96 and 25 units, a linear one behind the last."""
    first, (second, third) = config.hidden_size, _WIDTHS
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(_pixels(config), first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, third),
        nn.Linear(third, outputs),
    )


def decoder(config: ModelConfig, inputs: int) -> nn.Sequential:
    """Dense layers of 25, 96 and `hidden_size` units, then one unit a pixel value."""
    first, (second, third) = config.hidden_size, _WIDTHS
    return nn.Sequential(
        nn.Linear(inputs, third),
        nn.ReLU(),
        nn.Linear(third, second),
        nn.ReLU(),
        nn.Linear(second, first),
        nn.ReLU(),
        nn.Linear(first, _pixels(config)),
        nn.Sigmoid(),
        nn.Unflatten(1, (config.channels, config.image_size, config.image_size)),
    )


def _pixels(config: ModelConfig) -> int:
    return config.channels * config.image_size**2
