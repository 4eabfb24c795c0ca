"""What a rule knows of the items that it scores. Needs numpy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """A block of items and the population that they are judged against.

    Attributes:
        latents: float64 [N, D], the items.
        bins: intp [N, D], the bin of each item in each dimension.
        counts: int64 [D, B], the population's items per bin.
        density: float64 [D, B], the population's smoothed density, summing to 1 over the bins.
    """

    latents: Float64
    bins: NDArray[np.intp]
    counts: NDArray[np.int64]
    density: Float64

    def of_items(self, table: Float64) -> Float64:
        """Look up each item's bin in a table [D, B]; float64 [N, D]."""
        size, bins = table.shape
        found: Float64 = table.ravel().take(self.bins + np.arange(size) * bins)
        return found
