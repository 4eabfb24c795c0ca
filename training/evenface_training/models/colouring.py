"""Grey images to coloured ones of any size: the colorizer of article 003 (see docs/models.md).

Convolutions whose reach widens without making maps smaller, so that edges stay where they are. The
article's network ends in dense layers of 90 million weights, made for 30 x 30 alone.
"""

from torch import Tensor, nn

from evenface_training.config import ModelConfig

_DILATIONS = (1, 2, 4, 8, 4, 2)

# ITU-R 601, as in `evenface_core.images`; the article has them with two digits.
RED, GREEN, BLUE = 0.299, 0.587, 0.114


class Luminance(nn.Module):
    """RGB [N, 3, S, S] to grey [N, 1, S, S]: 0.299 R + 0.587 G + 0.114 B."""

    def forward(self, images: Tensor) -> Tensor:
        """Weigh the channels."""
        return luminance(images)


def luminance(images: Tensor) -> Tensor:
    """As `Luminance`."""
    red, green, blue = images.chunk(3, dim=1)
    return RED * red + GREEN * green + BLUE * blue


def encoder(config: ModelConfig, outputs: int) -> nn.Sequential:
    """What a colorizer learns from: the luminance of images in colour."""
    del config, outputs
    return nn.Sequential(Luminance())


def decoder(config: ModelConfig, inputs: int) -> nn.Sequential:
    """Seven convolutions of `n_filters` maps and a last one, each pixel seeing 45 x 45 others."""
    n = config.n_filters
    return nn.Sequential(
        *_layer(inputs, n, 1),
        *(module for dilation in _DILATIONS for module in _layer(n, n, dilation)),
        nn.Conv2d(n, config.channels, 3, padding=1),
        nn.Sigmoid(),
    )


def _layer(inputs: int, outputs: int, dilation: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
