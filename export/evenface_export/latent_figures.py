"""What the latents of the training faces say: where they lie and what is rare."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from evenface_core.manifest import AggregatePosterior
from evenface_core.resampling import DEFAULT_BINS, LatentHistogram, Weights
from evenface_training.metrics import group_shares
from numpy.typing import NDArray

from evenface_export.sessions import Float32

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Weighting:
    """A way of weighting the training faces, applied.

    Attributes:
        title: How it is called in a table.
        weights: One for each face.
        shares: The part of the weight that each group gets, by name such as `tone=color`.
    """

    title: str
    weights: Weights = field(repr=False)
    shares: Mapping[str, float]


@dataclass(frozen=True)
class LatentFigures:
    """Everything that follows from the latents of the training faces.

    Attributes:
        posterior: The Gaussian that fits the latents.
        activity: float32 [D], deviation of the latent means alone: what a dimension tells of
            an image, where the posterior's deviation also holds what it leaves open.
        histogram: Of the latent means.
        weightings: The lab's rule as it stands first; then the run's own, where it differs.
    """

    posterior: AggregatePosterior
    activity: Float32 = field(repr=False)
    histogram: LatentHistogram = field(repr=False)
    weightings: tuple[Weighting, ...]


def summarise_latents(
    mean: Float32,
    log_variance: Float32,
    groups: Mapping[str, Bools],
    *,
    bins: int = DEFAULT_BINS,
    own: Weights | None = None,
) -> LatentFigures:
    """Summarise the latents of the training faces.

    Args:
        mean: float32 [N, D].
        log_variance: float32 [N, D].
        groups: By name, such as `tone=color`: bool [N].
        bins: Of the histogram, per dimension.
        own: The run's own weights, where it resamples.
    """
    histogram = LatentHistogram.from_latents(mean, bins)
    return LatentFigures(
        posterior=AggregatePosterior.fit(mean, log_variance),
        activity=mean.std(axis=0),
        histogram=histogram,
        weightings=_weightings(histogram.weights(mean, "lab"), groups, own),
    )


def _weightings(
    lab: Weights, groups: Mapping[str, Bools], own: Weights | None
) -> tuple[Weighting, ...]:
    first = _weighting("lab rule", lab, groups)
    if own is None or np.array_equal(own.values, lab.values):
        return (first,)
    return first, _weighting("as in training", own, groups)


def _weighting(title: str, weights: Weights, groups: Mapping[str, Bools]) -> Weighting:
    # The sum over everybody may come out a rounding error above 1.
    shares = {
        name: min(1.0, after) for name, (_, after) in group_shares(weights.values, groups).items()
    }
    return Weighting(title, weights, shares)
