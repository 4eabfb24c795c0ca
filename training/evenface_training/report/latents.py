"""The latents of a run's training faces, dimension by dimension."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

ACTIVE = 0.01
SHOWN = 256  # dimensions with a histogram, the most active
_BINS = 25
_TAIL = 0.001


@dataclass(frozen=True)
class Dimension:
    """One dimension of the latents of N images.

    Attributes:
        number: Counted from 0.
        mean: Mean of the N means.
        deviation: Standard deviation of the N means.
        posterior_deviation: Mean of the N posterior standard deviations.
        kl: Mean KL divergence from N(0, 1), in nats.
        counts: Images by bin of their mean.
    """

    number: int
    mean: float
    deviation: float
    posterior_deviation: float
    kl: float
    counts: Sequence[int] = field(repr=False)

    @property
    def active(self) -> bool:
        """Whether the variance of the means is above 0.01 (Burda et al. 2016, section 5.2)."""
        return self.deviation**2 > ACTIVE


@dataclass(frozen=True)
class LatentFacts:
    """All dimensions.

    Attributes:
        dimensions: The most active first.
        low: Where the first bin of every histogram begins; lower values are counted in it.
        high: Where the last bin ends; higher values are counted in it.
        images: N.
    """

    dimensions: Sequence[Dimension]
    low: float
    high: float
    images: int

    @property
    def active(self) -> int:
        """How many dimensions are active."""
        return sum(dimension.active for dimension in self.dimensions)

    @property
    def shown(self) -> Sequence[Dimension]:
        """The dimensions whose histogram is shown."""
        return self.dimensions[:SHOWN]


def describe_latents(mean: Float32, log_variance: Float32) -> LatentFacts:
    """Describe the posteriors q(z|x) of N images.

    Args:
        mean: float32 [N, L].
        log_variance: float32 [N, L].
    """
    centres = mean.mean(axis=0, dtype=np.float64)
    deviations = mean.std(axis=0, dtype=np.float64)
    spreads = np.exp(0.5 * log_variance).mean(axis=0, dtype=np.float64)
    terms = 0.5 * (np.exp(log_variance) + np.square(mean) - 1 - log_variance)
    kl = terms.mean(axis=0, dtype=np.float64)
    order = np.argsort(-deviations, kind="stable")
    low, high = _range(mean, order[:SHOWN])
    edges = np.linspace(low, high, _BINS + 1)
    return LatentFacts(
        dimensions=[
            Dimension(
                int(number),
                float(centres[number]),
                float(deviations[number]),
                float(spreads[number]),
                float(kl[number]),
                np.histogram(mean[:, number].astype(float).clip(low, high), edges)[0].tolist(),
            )
            for number in order
        ],
        low=low,
        high=high,
        images=len(mean),
    )


def _range(mean: Float32, shown: NDArray[np.intp]) -> tuple[float, float]:
    """One scale for all dimensions, without the last thousandth at either end."""
    low, high = np.quantile(mean[:, shown], [_TAIL, 1 - _TAIL])
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)
