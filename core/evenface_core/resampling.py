"""Resampling weights that raise rare items, from mergeable histograms. Needs numpy alone.

A histogram with fixed edges is all the state there is: shards count on their own, histograms add
up, and weights follow from the sum exactly as if one machine had seen everything.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evenface_core.binning import MAX_BINS, Binning, check_edges, check_shape, equal_edges
from evenface_core.blocks import in_threads
from evenface_core.errors import InvalidInput
from evenface_core.latents import require_finite
from evenface_core.quantiles import quantile_edges
from evenface_core.rules import RULES
from evenface_core.rules.evidence import Evidence, Float64
from evenface_core.weights import Weights, effective_sample_size, temper, weights_of

__all__ = [
    "DEFAULT_BINS",
    "DEFAULT_RULE",
    "DEFAULT_SMOOTHING",
    "MAX_BINS",
    "MAX_COUNT",
    "LatentHistogram",
    "Weights",
    "check_options",
    "effective_sample_size",
    "temper",
    "weigh",
]

Int64 = NDArray[np.int64]
Latents = NDArray[np.floating]

DEFAULT_BINS = 10
DEFAULT_SMOOTHING = 0.001
DEFAULT_RULE = "lab"
MAX_COUNT = 2**53  # exact as float64, and so many times MAX_BINS still fit int64


@dataclass(frozen=True)
class LatentHistogram:
    """Counts of latents per dimension and bin.

    Attributes:
        edges: float64 [D, B + 1], increasing; the outer bins are open, so that a value beyond
            the first or last edge counts in them.
        counts: int64 [D, B], 0 to 2⁵³; every dimension has the same sum.

    Raises:
        InvalidInput: Shapes, order or sums are wrong.
    """

    edges: Float64
    counts: Int64

    def __post_init__(self) -> None:
        check_edges(self.edges)
        if self.counts.shape != (self.edges.shape[0], self.edges.shape[1] - 1):
            raise InvalidInput(
                "histogram.counts",
                f"shape {self.counts.shape} does not fit edges of shape {self.edges.shape}",
            )
        sums = self.counts.sum(axis=1)
        if not 0 <= self.counts.min() <= self.counts.max() <= MAX_COUNT or np.ptp(sums) != 0:
            raise InvalidInput(
                "histogram.counts", "must be 0 to 2^53 and have the same sum in every dimension"
            )

    @classmethod
    def from_latents(cls, latents: Latents, bins: int = DEFAULT_BINS) -> Self:
        """Count latents in equal bins between their least and greatest value.

        Args:
            latents: [N, D], N ≥ 1, finite.
            bins: B, 2 to 1000.

        Raises:
            InvalidInput: The latents or the number of bins cannot be used.
        """
        check_options(bins=bins)
        return cls.with_edges(latents, equal_edges(latents, bins))

    @classmethod
    def with_edges(cls, latents: Latents, edges: Float64) -> Self:
        """Count latents in given bins, so that the result can be merged with others.

        Args:
            latents: [N, D], N ≥ 1, finite.
            edges: float64 [D, B + 1], increasing.

        Raises:
            InvalidInput: The latents or the edges cannot be used.
        """
        return cls(edges, Binning(edges, latents).counts())

    @property
    def total(self) -> int:
        """The number of items counted."""
        return int(self.counts[0].sum())

    def merge(self, other: Self) -> Self:
        """Add another histogram with the same edges.

        Raises:
            InvalidInput: The edges differ.
        """
        if not np.array_equal(self.edges, other.edges):
            raise InvalidInput("histogram.edges", "only histograms with equal edges can be merged")
        return type(self)(self.edges, self.counts + other.counts)

    def density(self, smoothing: float = DEFAULT_SMOOTHING) -> Float64:
        """Return the smoothed density, float64 [D, B], summing to 1 over the bins.

        As the lab computes it: count / (items · bin width), plus `smoothing`, divided by the sum.

        Raises:
            InvalidInput: Smoothing is not positive and finite, or nothing has been counted.
        """
        check_options(smoothing=smoothing)
        if self.total == 0:
            raise InvalidInput("histogram.counts", "the histogram counts no item")
        smoothed = self.counts / (self.total * np.diff(self.edges, axis=1)) + smoothing
        normalised: Float64 = smoothed / smoothed.sum(axis=1, keepdims=True)
        return normalised

    def weights(
        self,
        latents: Latents,
        rule: str = "lab",
        *,
        smoothing: float = DEFAULT_SMOOTHING,
        min_effective_sample_size: float = 0.0,
    ) -> Weights:
        """Weight items by their rarity in this histogram.

        Args:
            latents: [N, D], N ≥ 1, finite; for a rule that reads logits these, as [N, 1].
            rule: A name in `evenface_core.rules.RULES`.
            smoothing: Added to the density, > 0.
            min_effective_sample_size: Share of N, 0 to 1, that tempering must reach; 0 leaves
                the weights as the rule gives them.

        Raises:
            InvalidInput: An argument cannot be used, or the histogram's numbers are too extreme.
        """
        check_options(min_effective_sample_size=min_effective_sample_size)
        scores = self.log_scores(latents, rule, smoothing=smoothing)
        return weights_of(scores, rule, min_effective_sample_size)

    def log_scores(
        self, latents: Latents, rule: str = "lab", *, smoothing: float = DEFAULT_SMOOTHING
    ) -> Float64:
        """Score items by their rarity in this histogram, each by itself.

        Args:
            latents: As for `weights`.
            rule: See there.
            smoothing: See there.

        Returns:
            float64 [N], logarithms. They are the same, to the last bit, whichever items come
            together. Infinite or not a number where the histogram's numbers are too extreme.

        Raises:
            InvalidInput: An argument cannot be used.
        """
        check_options(rule=rule, smoothing=smoothing)
        return self.log_scores_of(Binning(self.edges, latents), rule, smoothing)

    def log_scores_of(self, items: Binning, rule: str, smoothing: float) -> Float64:
        """As `log_scores`, of items between the edges of this histogram."""
        _check_rows(items.latents, rule)
        with np.errstate(all="ignore"):  # extreme counts or edges: found out by the scores
            density, score = self.density(smoothing), RULES[rule].log_scores

            def scored(rows: slice) -> Float64:
                packed = items.packed(rows)
                block = items.latents[rows]
                known = (self.counts, density, smoothing)
                return score(Evidence(block, self.edges, packed, items.packing, *known))

            return np.concatenate(list(in_threads(scored, *items.latents.shape)))


def weigh(
    latents: Latents,
    reference: LatentHistogram | Float64 | None = None,
    *,
    bins: int | None = None,
    rule: str = "lab",
    smoothing: float = DEFAULT_SMOOTHING,
    min_effective_sample_size: float = 0.0,
) -> tuple[LatentHistogram, Weights]:
    """Weight items by their rarity in a population, or among themselves.

    Args:
        latents: [N, D], N ≥ 1, finite; for a rule that reads logits these, as [N, 1].
        reference: The population's histogram; or edges float64 [D, B + 1] to count the items in;
            or None to count them in bins that the rule makes.
        bins: B where there is no reference, 2 to 1000; None is the rule's own.
        rule: See `LatentHistogram.weights`.
        smoothing: See there.
        min_effective_sample_size: See there.

    Returns:
        The histogram that the weights came from, and the weights.

    Raises:
        InvalidInput: An argument cannot be used, or its numbers are too extreme.
    """
    check_options(
        bins=bins,
        rule=rule,
        smoothing=smoothing,
        min_effective_sample_size=min_effective_sample_size,
    )
    if isinstance(reference, LatentHistogram):
        histogram, items = reference, Binning(reference.edges, latents)
    else:
        with np.errstate(all="ignore"):  # extreme latents: found out as edges that are not finite
            edges = edges_for(latents, rule, bins) if reference is None else reference
        items = Binning(edges, latents, keep=True)
        histogram = LatentHistogram(edges, items.counts())
    scores = histogram.log_scores_of(items, rule, smoothing)
    return histogram, weights_of(scores, rule, min_effective_sample_size)


def edges_for(latents: Latents, rule: str, bins: int | None) -> Float64:
    """Make the bins that a rule wants for a set of items.

    Args:
        latents: As for `weigh`.
        rule: See there.
        bins: B; None is the rule's own number.

    Returns:
        float64 [D, B + 1].

    Raises:
        InvalidInput: An argument cannot be used.
    """
    check_options(bins=bins, rule=rule)
    check_shape(latents, None)
    _check_rows(latents, rule)
    wanted = bins or RULES[rule].bins
    if RULES[rule].spacing == "equal":
        return equal_edges(latents, wanted)
    require_finite(latents, field=RULES[rule].reads)
    return quantile_edges(latents, wanted)


def check_options(
    *,
    bins: int | None = None,
    rule: str = "lab",
    smoothing: float = DEFAULT_SMOOTHING,
    min_effective_sample_size: float = 0.0,
) -> None:
    """Check what needs no latents, so that a mistake is found before they are computed.

    Args:
        bins: 2 to 1000, or None.
        rule: A name in `evenface_core.rules.RULES`.
        smoothing: Above 0, finite.
        min_effective_sample_size: 0 to 1.

    Raises:
        InvalidInput: Names the first option that cannot be used.
    """
    if bins is not None and not 2 <= bins <= MAX_BINS:  # noqa: PLR2004
        raise InvalidInput("bins", f"{bins} is outside 2 to {MAX_BINS}", value=bins)
    if rule not in RULES:
        raise InvalidInput("rule", f"'{rule}' is unknown; known: {', '.join(RULES)}")
    if not 0 < smoothing < np.inf:
        raise InvalidInput("smoothing", f"{smoothing} is not above 0", value=smoothing)
    if not 0 <= min_effective_sample_size <= 1:
        raise InvalidInput(
            "min_effective_sample_size",
            f"{min_effective_sample_size} is outside 0 to 1",
            value=min_effective_sample_size,
        )


def _check_rows(latents: Latents, rule: str) -> None:
    size = latents.shape[1]
    if RULES[rule].reads == "logits" and size != 1:
        problem = f"rule '{rule}' reads one logit an item, not {size} numbers"
        raise InvalidInput("logits", problem, value=size, limit=1)
