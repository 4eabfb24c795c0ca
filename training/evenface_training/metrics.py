"""Figures of quality, each a pure function of arrays.

Images are float32 [N, C, H, W] in [0, 1]; classification works on logits.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import peak_signal_noise_ratio

Float64 = NDArray[np.float64]
Logits = NDArray[np.floating]
Members = Mapping[str, NDArray[np.bool_]]

_WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
_MAX_PSNR = 100.0  # an image rebuilt without error would else have infinitely many


def accuracy(face_logits: Logits, nonface_logits: Logits, threshold: float = 0.0) -> float:
    """Share of images on the right side of a threshold on the logit.

    Args:
        face_logits: [F].
        nonface_logits: [M].
        threshold: A face is what has a logit of at least this.
    """
    right = (face_logits >= threshold).sum() + (nonface_logits < threshold).sum()
    return float(right / (len(face_logits) + len(nonface_logits)))


def auc(face_logits: Logits, nonface_logits: Logits) -> float:
    """Area under the ROC curve: P(face > non-face) + 1/2 P(face = non-face).

    The Mann-Whitney statistic U / (F * M) (Hanley & McNeil 1982), by counting in sorted order.

    Args:
        face_logits: [F].
        nonface_logits: [M].
    """
    others = np.sort(nonface_logits)
    below = np.searchsorted(others, face_logits, side="left").astype(np.float64)
    up_to = np.searchsorted(others, face_logits, side="right").astype(np.float64)
    return float((below + up_to).mean() / (2 * len(others)))


def true_positive_rates(
    face_logits: Logits, groups: Members, threshold: float = 0.0
) -> dict[str, float]:
    """Share of each group's faces that are taken for faces.

    Args:
        face_logits: [F].
        groups: By name, bool [F] with at least one member.
        threshold: A face is what has a logit of at least this.
    """
    return {
        name: float((face_logits[members] >= threshold).mean()) for name, members in groups.items()
    }


def threshold_at(nonface_logits: Logits, false_positive_rate: float) -> float:
    """The lowest threshold on the logit that at most a share of the non-faces pass.

    Args:
        nonface_logits: [M], M >= 1.
        false_positive_rate: Share that may be taken for faces, 0 to below 1.
    """
    allowed = int(false_positive_rate * len(nonface_logits))
    limit = np.sort(nonface_logits)[::-1][allowed]
    return float(np.nextafter(limit, np.inf, dtype=nonface_logits.dtype))


def group_shares(weights: Float64, groups: Members) -> dict[str, tuple[float, float]]:
    """Each group's share of the faces before and after weighting.

    Args:
        weights: float64 [F], summing to 1.
        groups: By name, bool [F].

    Returns:
        By name: (share by count, share by weight).
    """
    return {
        name: (float(members.mean()), float(weights[members].sum()))
        for name, members in groups.items()
    }


def l1(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean absolute error per image, [N]."""
    return (images - reconstructions).abs().flatten(start_dim=1).mean(dim=1)


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per image, 10 log10(1 / MSE), [N] in dB; 100 at most."""
    ratio = peak_signal_noise_ratio(
        reconstructions, images, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    return ratio.clamp(max=_MAX_PSNR)


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Structural similarity per image (Wang, Bovik, Sheikh & Simoncelli 2004), [N].

    Not torchmetrics' own, which counts windows beyond the border, too, filled up by mirroring: at
    30 x 30 that makes up to 0.026 of difference, and it takes about twice as long.

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, range 1, no padding, averaged
    over positions and channels:

        SSIM = (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx^2 + sy^2 + C2))

    Args:
        images: [N, C, H, W], H and W at least 11.
        reconstructions: As `images`.
    """
    c1, c2 = _K1**2, _K2**2
    mean_x, mean_y = _blur(images), _blur(reconstructions)
    variance_x = _blur(images.square()) - mean_x.square()
    variance_y = _blur(reconstructions.square()) - mean_y.square()
    covariance = _blur(images * reconstructions) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x.square() + mean_y.square() + c1) * (variance_x + variance_y + c2)
    )
    return similarity.flatten(start_dim=1).mean(dim=1)


def _blur(images: Tensor) -> Tensor:
    """Weighted mean under the window, one pass a direction."""
    # Products with a band matrix: a third of the time of convolutions, map by map, on a CPU.
    down, across = (_band(side, images) for side in images.shape[-2:])
    return down.T @ (images @ across)


def _band(side: int, like: Tensor) -> Tensor:
    """[side, side - 10], the window at each place of its own column."""
    offsets = torch.arange(_WINDOW, dtype=like.dtype, device=like.device) - _WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    places = side - _WINDOW + 1
    padded = functional.pad(window / window.sum(), (0, places))
    return padded.repeat(places)[: places * side].view(places, side).T
