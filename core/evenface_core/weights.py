"""From scores to resampling weights: normalised, tempered and with their effective sample size.

Sums are exact, so that scores that lie in many places give the same weights, to the last bit, as
in one array: `Sums` of the parts add up, and `power` and `Total` need nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from evenface_core.errors import InvalidInput
from evenface_core.exact_sum import exact_sum, value_of
from evenface_core.rules.evidence import Float64

WEIGHTING_MARK = b"evenface.weighting"  # in a Parquet file's metadata: whose weights it holds

_BLOCK = 2**15  # scores that are worked on at once: they fit a core's second cache
_NEAR = 1e-9  # so much more than the least effective sample size is as good, relative
_TOLERANCE = 0.4 * _NEAR  # around the middle of that


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


@dataclass(frozen=True)
class Sums:
    """Sums over scores relative to the greatest, to the power t; those of parts add up.

    Attributes:
        first: Σ w, in units of `exact_sum`.
        second: Σ w², likewise.
    """

    first: int = 0
    second: int = 0

    @classmethod
    def of(cls, log_scores: Float64, peak: float, exponent: float) -> "Sums":
        """Add up w = exp((score - peak) · t).

        Args:
            log_scores: float64 [N], finite, none above the peak.
            peak: The greatest of all.
            exponent: t, 0 to 1.
        """
        first = second = 0
        for start in range(0, len(log_scores), _BLOCK):
            scores = relative(log_scores[start : start + _BLOCK], peak, exponent)
            first += exact_sum(scores)
            second += exact_sum(np.square(scores))
        return cls(first, second)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.first + other.first, self.second + other.second)

    @property
    def total(self) -> float:
        """Σ w."""
        return value_of(self.first)

    @property
    def effective_sample_size(self) -> float:
        """(Σ w)² / Σ w²."""
        return self.total**2 / value_of(self.second)


def relative(log_scores: Float64, peak: float, exponent: float) -> Float64:
    """Return exp((score - peak) · t), float64 [N], each 0 to 1."""
    scores = log_scores - peak
    scores *= exponent
    np.exp(scores, out=scores)
    return scores


def weights_of(log_scores: Float64, rule: str, min_effective_sample_size: float) -> Weights:
    """Normalise scores to weights, tempered where they have to be.

    Args:
        log_scores: float64 [N].
        rule: The name of the rule that gave them.
        min_effective_sample_size: Share of N, 0 to 1, that tempering must reach.

    Raises:
        InvalidInput: The scores are not finite.
    """
    peak = float(log_scores.max())
    require_finite_scores(peak, float(log_scores.min()))
    sums = partial(Sums.of, log_scores, peak)
    plain = sums(1.0)
    exponent, tempered = tempered_sums(
        sums, plain, len(log_scores), min_effective_sample_size * len(log_scores)
    )
    values = relative(log_scores, peak, exponent)
    values /= tempered.total
    log_total = peak + math.log(plain.total)
    return Weights(values, log_total, exponent, tempered.effective_sample_size, rule)


def require_finite_scores(greatest: float, least: float) -> None:
    """Refuse scores that are no numbers.

    Raises:
        InvalidInput: One is not finite.
    """
    if not (math.isfinite(greatest) and math.isfinite(least)):
        raise InvalidInput("histogram", "its numbers are too extreme to weight items with")


def effective_sample_size(weights: Float64) -> float:
    """Return (Σ w)² / Σ w² (Kish 1965): how many equally weighted items tell as much."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def temper(log_scores: Float64, minimum: float) -> float:
    """Find the exponent t ≤ 1 at which w^t has an effective sample size of `minimum`.

    Args:
        log_scores: float64 [N], finite.
        minimum: Effective sample size to reach, 0 to N.

    Returns:
        t, 0 to 1; see `tempered_sums`.
    """
    sums = partial(Sums.of, log_scores, float(log_scores.max()))
    return tempered_sums(sums, sums(1.0), len(log_scores), minimum)[0]


def tempered_sums(
    sums: Callable[[float], Sums], plain: Sums, count: int, minimum: float
) -> tuple[float, Sums]:
    """Find the exponent t at which w^t has an effective sample size of `minimum`.

    The logarithm of the effective sample size falls from ln N at t = 0; where it crosses that of
    the minimum is found by false position, with the Illinois rule (Dowell and Jarratt 1971), in a
    dozen looks at all scores.

    Args:
        sums: Adds up the scores to the power t.
        plain: What it gives at t = 1.
        count: N.
        minimum: Effective sample size to reach, 0 to N.

    Returns:
        t, and the sums there. t is 1 where that is enough, else the effective sample size is at
        least the minimum and at most 1e-9 of it more.
    """
    if plain.effective_sample_size >= minimum:
        return 1.0, plain
    aim = math.log(minimum) + _NEAR / 2
    low, high, side = 0.0, 1.0, 0
    above, below = math.log(count) - aim, math.log(plain.effective_sample_size) - aim
    if above <= _NEAR / 2:
        return 0.0, sums(0.0)
    while True:
        exponent = low + (high - low) * above / (above - below)
        if not low < exponent < high:  # neighbouring numbers
            return low, sums(low)
        found = sums(exponent)
        height = math.log(found.effective_sample_size) - aim
        if abs(height) < _TOLERANCE:
            return exponent, found
        if height > 0:
            low, above, below, side = exponent, height, below / (1 + (side > 0)), 1
        else:
            high, below, above, side = exponent, height, above / (1 + (side < 0)), -1
