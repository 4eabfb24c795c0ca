"""From scores to resampling weights: normalised, tempered and with their effective sample size."""

import math
from dataclasses import dataclass

import numpy as np

from evenface_core.errors import InvalidInput
from evenface_core.rules.evidence import Float64

_BISECTIONS = 60


@dataclass(frozen=True)
class Weights:
    """Resampling weights and what to know about them.

    Attributes:
        values: float64 [N], summing to 1.
        log_total: Logarithm of the sum of the scores before they were normalised:
            values · exp(log_total) compares items of several calls against one histogram.
        temper: The exponent t of w^t; 1 where nothing was tempered.
        effective_sample_size: (Σ w)² / Σ w², between 1 and N.
        rule: Name of the rule.
    """

    values: Float64
    log_total: float
    temper: float
    effective_sample_size: float
    rule: str


def weights_of(log_scores: Float64, rule: str, min_effective_sample_size: float) -> Weights:
    """Normalise scores to weights, tempered where they have to be.

    Args:
        log_scores: float64 [N].
        rule: The name of the rule that gave them.
        min_effective_sample_size: Share of N, 0 to 1, that tempering must reach.

    Raises:
        InvalidInput: The scores are not finite.
    """
    peak = log_scores.max()
    log_total = float(peak + np.log(np.exp(log_scores - peak).sum()))
    if not math.isfinite(log_total):
        raise InvalidInput("histogram", "its numbers are too extreme to weight items with")
    exponent = temper(log_scores, min_effective_sample_size * len(log_scores))
    values = _normalise(log_scores * exponent)
    return Weights(values, log_total, exponent, effective_sample_size(values), rule)


def effective_sample_size(weights: Float64) -> float:
    """Return (Σ w)² / Σ w² (Kish 1965): how many equally weighted items tell as much."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def temper(log_scores: Float64, minimum: float) -> float:
    """Find the largest exponent t ≤ 1 at which w^t has an effective sample size of `minimum`.

    Args:
        log_scores: float64 [N].
        minimum: Effective sample size to reach, 0 to N.

    Returns:
        t, 0 to 1, by bisection.
    """

    def reaches(exponent: float) -> bool:
        return effective_sample_size(_normalise(log_scores * exponent)) >= minimum

    if reaches(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low


def _normalise(log_scores: Float64) -> Float64:
    scores: Float64 = np.exp(log_scores - log_scores.max())
    scores /= scores.sum()
    return scores
