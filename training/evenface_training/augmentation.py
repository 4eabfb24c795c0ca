"""Random changes to a batch of training images, on the device where it lies.

Every number comes from the draws that are handed in, so that a resumed run draws what an
uninterrupted one would have drawn. All moves are one warp, and all changes of colour one 3 × 3
matrix an image: on a CPU, Kornia's module for each change would cost as much as the training step
(docs/training.md has the figures). The JPEG codec is Kornia's.
"""

import math
from functools import cache

import torch
from kornia.enhance import jpeg_codec_differentiable
from torch import Tensor
from torch.nn import functional

from evenface_training.config import AugmentationConfig
from evenface_training.draws import Draws

# Luma of ITU-R BT.601, and the hue plane of YIQ (the colour space of NTSC, 1953).
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_QUALITY = (30.0, 95.0)
_RGB = 3


def augment(images: Tensor, config: AugmentationConfig, draws: Draws) -> Tensor:
    """Change each image at random.

    Args:
        images: float32 [N, C, S, S] in [0, 1], C 1 or 3; not changed.
        config: What may change, and by how much.
        draws: Where the random numbers come from.

    Returns:
        As `images`.
    """
    if config.flip:
        images = _flipped(images, config.flip, draws)
    if config.moves:
        images = _moved(images, config, draws)
    if config.colors:
        images = _colored(images, config, draws)
    if config.noise:
        images = _noisy(images, config.noise, draws)
    if config.jpeg:
        images = _compressed(images, config.jpeg, draws)
    return images


def _flipped(images: Tensor, share: float, draws: Draws) -> Tensor:
    mirrored = draws.uniform(1)[0] < share
    mirrored = mirrored.to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def _moved(images: Tensor, config: AugmentationConfig, draws: Draws) -> Tensor:
    """Turn, scale and shift in one warp; what comes in from outside is the mirrored picture."""
    angle, size, right, down = _even(4, draws)
    angle = angle * math.radians(config.rotation)
    size = torch.exp(-size * math.log1p(config.scale))  # the way back, as a warp wants it
    cosine, sine = angle.cos() * size, angle.sin() * size
    x, y = (2 * config.shift * part for part in (right, down))  # a side is 2 long here
    rows = torch.stack([cosine, -sine, x, sine, cosine, y], dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(rows.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _colored(images: Tensor, config: AugmentationConfig, draws: Draws) -> Tensor:
    """Turn the hue, then saturate, then stretch about the mean, then brighten: x -> A x + b.

    The first two keep luma, so that the mean that contrast is measured from is that of the images.
    """
    light, stretch, chroma, hue = _even(4, draws)
    light, stretch = 1 + config.brightness * light, 1 + config.contrast * stretch
    factor = light * stretch
    if images.shape[1] == _RGB:
        chroma = 1 + config.saturation * chroma
        matrix = factor[:, None, None] * _color_matrix(chroma, hue * math.radians(config.hue))
        luma = torch.tensor(_YIQ[0], device=images.device)
    else:
        matrix = factor[:, None, None]
        luma = torch.ones(1, device=images.device)
    mean = images.mean(dim=(2, 3)) @ luma
    offset = (light - factor).to(images.device) * mean
    pixels = matrix.to(images.device) @ images.flatten(start_dim=2) + offset[:, None, None]
    changed: Tensor = pixels.clamp(0, 1).view_as(images)
    return changed


def _color_matrix(chroma: Tensor, hue: Tensor) -> Tensor:
    """Stretch by [N] and turn by [N] radians in the plane of hues; [N, 3, 3] for RGB."""
    to_yiq, from_yiq = _yiq()
    cosine, sine = chroma * hue.cos(), chroma * hue.sin()
    zero, one = torch.zeros_like(hue), torch.ones_like(hue)
    rows = [one, zero, zero, zero, cosine, -sine, zero, sine, cosine]
    turned = torch.stack(rows, dim=1).view(-1, 3, 3)
    matrix: Tensor = from_yiq @ turned @ to_yiq
    return matrix


@cache
def _yiq() -> tuple[Tensor, Tensor]:
    """From RGB to YIQ, and back."""
    to_yiq = torch.tensor(_YIQ)
    return to_yiq, torch.linalg.inv(to_yiq)


def _noisy(images: Tensor, largest: float, draws: Draws) -> Tensor:
    sigma = largest * draws.uniform(1)[0]
    noise = draws.normal(images)
    return torch.addcmul(images, noise, sigma.to(images.device)[:, None, None, None]).clamp(0, 1)


def _compressed(images: Tensor, share: float, draws: Draws) -> Tensor:
    points, quality = draws.uniform(2)
    chosen = torch.nonzero(points < share)[:, 0]
    if not len(chosen):
        return images
    low, high = _QUALITY
    levels = (low + (high - low) * quality[chosen]).to(images.device)
    rows = chosen.to(images.device)
    colors = images[rows].expand(-1, _RGB, -1, -1).contiguous()  # the codec knows RGB alone
    pixels = jpeg_codec_differentiable(colors, levels)[:, : images.shape[1]]
    return images.index_copy(0, rows, pixels.clamp(0, 1))


def _even(parts: int, draws: Draws) -> Tensor:
    """Numbers [parts, N], uniform in -1 to 1."""
    return 2 * draws.uniform(parts) - 1
