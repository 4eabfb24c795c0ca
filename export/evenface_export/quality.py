"""How well a model tells faces and rebuilds them. Pure functions of scores and images."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from evenface_core.errors import ExportError
from evenface_training import metrics
from evenface_training.evaluate import to_tensor
from evenface_training.groups import FALSE_POSITIVES
from numpy.typing import NDArray

from evenface_export.sessions import Float32, Int64, UInt8, batches

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]

DEFAULT_THRESHOLD = 0.5

# Beyond these a float32 probability has too few digits left to be compared.
_LOWEST, _HIGHEST = 0.01, 0.99

AT_ONE_PERCENT = "true_positive_rate_at_1_percent_false_positives"


@dataclass(frozen=True)
class Detection:
    """Face against non-face on held-out images.

    Attributes:
        threshold: The probability from which an image counts as a face, chosen on all of them.
        recognised: bool [F], by held-out face: whether it passes a threshold that was chosen
            without its half of the images.
        figures: What came of it, by name.
    """

    threshold: float
    recognised: Bools = field(repr=False)
    figures: dict[str, float]


def measure_detection(
    faces: Float32, nonfaces: Float32, max_false_positives: float | None = None
) -> Detection:
    """Choose a threshold and measure what a threshold so chosen is worth on unseen images.

    Every second image is judged by the threshold that the others lead to, and the other way
    round, so that no image has a say in the threshold that judges it.

    Args:
        faces: float32 [F], logits of held-out faces.
        nonfaces: float32 [M], logits of held-out non-faces.
        max_false_positives: As in `choose_threshold`.

    Raises:
        ExportError: As `choose_threshold`.
    """
    choose = partial(choose_threshold, max_false_positives=max_false_positives)
    face_scores, nonface_scores = _probability(faces), _probability(nonfaces)
    recognised, alarms = np.zeros(len(faces), bool), np.zeros(len(nonfaces), bool)
    for half in (0, 1):
        judge = choose(face_scores[1 - half :: 2], nonface_scores[1 - half :: 2])
        recognised[half::2] = face_scores[half::2] >= judge
        alarms[half::2] = nonface_scores[half::2] >= judge
    right = int(recognised.sum()) + int((~alarms).sum())
    return Detection(
        threshold=choose(face_scores, nonface_scores),
        recognised=recognised,
        figures={
            "accuracy": right / (len(faces) + len(nonfaces)),
            "auc": metrics.auc(faces, nonfaces),
            "true_positive_rate": float(recognised.mean()),
            "false_positive_rate": float(alarms.mean()),
            AT_ONE_PERCENT: rate_at_one_percent(faces, nonfaces),
        },
    )


def require_nonfaces(count: int, max_false_positives: float) -> None:
    """Refuse a share of false positives that so few non-faces cannot tell.

    Args:
        count: Held-out non-faces.
        max_false_positives: Share of them that may pass, above 0 and below 1.

    Raises:
        ExportError: It is less than one of them.
    """
    needed = math.ceil(1 / max_false_positives)
    if count < needed:
        raise ExportError(
            f"--max-false-positives {max_false_positives:g} takes {needed:,} held-out non-faces "
            f"or more to tell; the run has {count:,}"
        )


def choose_threshold(
    faces: Float64, nonfaces: Float64, max_false_positives: float | None = None
) -> float:
    """Choose a threshold by false positives, or else one that is good and near to 0.5.

    Args:
        faces: float64 [F], probabilities of faces.
        nonfaces: float64 [M], probabilities of non-faces.
        max_false_positives: Share of the non-faces that may pass, at most; None chooses by
            balanced accuracy.

    Returns:
        The threshold; 0.5 where there are no faces or no non-faces.

    Raises:
        ExportError: No threshold keeps so many non-faces out.
    """
    if not len(faces) or not len(nonfaces):
        return DEFAULT_THRESHOLD
    if max_false_positives is None:
        return _balanced(faces, nonfaces)
    return _by_false_positives(faces, nonfaces, max_false_positives)


def _by_false_positives(faces: Float64, nonfaces: Float64, share: float) -> float:
    """The middle between the last non-face to keep out and the next score of any image above.

    Probabilities are compared in float32, as a server does; the middle leaves room for engines
    that round otherwise.
    """
    highest = np.sort(nonfaces.astype(np.float32))[::-1]
    limit = highest[int(share * len(nonfaces))]
    scores = np.concatenate([faces, nonfaces]).astype(np.float32)
    above = scores[scores > limit].min(initial=np.float32(1))
    if limit == 1:
        raise ExportError(
            f"--max-false-positives {share:g}: more non-faces than that have probability 1, so "
            "that no threshold keeps them out"
        )
    return float(max(np.nextafter(limit, np.float32(1)), (limit + above) / 2))


def _balanced(faces: Float64, nonfaces: Float64) -> float:
    """Choose the threshold nearest to 0.5 that is as good as the best, as far as one can tell.

    Good is the balanced accuracy (TPR + TNR) / 2. Whatever lies within one standard error of the
    best counts as good (the rule of Breiman et al., "Classification and Regression Trees", 1984),
    so that a few images do not drag the threshold to an end of the scale: it is 0.01 to 0.99.
    """
    scores = np.unique(np.concatenate([faces, nonfaces]))
    between = (scores[1:] + scores[:-1]) / 2
    inside = between[(between >= _LOWEST) & (between <= _HIGHEST)]
    candidates = np.append(inside, [_LOWEST, DEFAULT_THRESHOLD, _HIGHEST])
    passed = 1 - np.searchsorted(np.sort(faces), candidates) / len(faces)
    stopped = np.searchsorted(np.sort(nonfaces), candidates) / len(nonfaces)
    balanced = (passed + stopped) / 2
    top = int(balanced.argmax())
    variances = _variance(passed[top], len(faces)) + _variance(stopped[top], len(nonfaces))
    good = candidates[balanced >= balanced[top] - math.sqrt(variances) / 2]
    return float(good[np.argmin(np.abs(good - DEFAULT_THRESHOLD))])


@torch.inference_mode()
def measure_reconstruction(
    images: UInt8, rows: Int64, rebuild: Callable[[Int64], UInt8]
) -> dict[str, float]:
    """Compare images with their reconstructions, both of 256 levels.

    Args:
        images: uint8 [N, S, S, C].
        rows: int64 [M], which of them.
        rebuild: Makes reconstructions of a batch of them, given its rows.

    Returns:
        `l1` (0 to 1), `psnr` (dB) and `ssim`, each the mean over images.
    """
    found: dict[str, list[Float32]] = {"l1": [], "psnr": [], "ssim": []}
    cpu = torch.device("cpu")
    for batch in batches(rows, "reconstructing"):
        originals = images[batch]
        pair = to_tensor(originals, cpu), to_tensor(rebuild(batch), cpu)
        found["l1"].append(metrics.l1(*pair).numpy())
        found["psnr"].append(metrics.psnr(*pair).numpy())
        found["ssim"].append(metrics.ssim(*pair).numpy())
    return {name: float(np.concatenate(parts).mean()) for name, parts in found.items()}


def _variance(rate: float, count: int) -> float:
    """Of a rate seen in `count` items; add-one smoothing keeps a rate of 1 from looking certain."""
    smoothed = (rate * count + 1) / (count + 2)
    return smoothed * (1 - smoothed) / count


def _probability(logits: Float32) -> Float64:
    """The logistic function, in a form that does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))


def rate_at_one_percent(faces: Float32, nonfaces: Float32) -> float:
    """Share of faces above all but 1 % of the non-faces; both are logits."""
    return float((faces >= metrics.threshold_at(nonfaces, FALSE_POSITIVES)).mean())
