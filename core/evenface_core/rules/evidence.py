"""What a rule knows of the items that it scores. Needs numpy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface_core.bins import Bins, Pairs

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """A block of items and the population that they are judged against.

    Attributes:
        latents: [N, D], the items, in the precision in which they came.
        edges: float64 [D, B + 1], of the bins.
        bins: uint8 or uint16 [N, D], the bin of each item in each dimension.
        counts: int64 [D, B], the population's items per bin.
        density: float64 [D, B], the population's smoothed density, summing to 1 over the bins.
        smoothing: What it was smoothed with.
    """

    latents: NDArray[np.floating]
    edges: Float64
    bins: Bins
    counts: NDArray[np.int64]
    density: Float64
    smoothing: float

    def of_items(self, table: Float64) -> Float64:
        """Look up each item's bin in a table [D, B]; float64 [N, D]."""
        size, bins = table.shape
        found: Float64 = table.ravel().take(self.bins + np.arange(size) * bins)
        return found

    def largest(self, table: Float64) -> Float64:
        """The largest over the dimensions of what `of_items` finds, float64 [N], but faster."""
        greatest: Float64 = self._joined(table, np.maximum, -np.inf).max(axis=1)
        return greatest

    def total(self, table: Float64) -> Float64:
        """The sum over the dimensions of what `of_items` finds, float64 [N], but faster."""
        sums: Float64 = self._joined(table, np.add, 0.0).sum(axis=1)
        return sums

    def _joined(self, table: Float64, join: np.ufunc, neutral: float) -> Float64:
        """What is found in two dimensions, joined; float64 [N, about D / 2]."""
        pairs = Pairs.of(self.bins, table.shape[1])
        if pairs is None:
            return self.of_items(table)
        if len(table) % 2:
            table = np.vstack([table, np.full(table.shape[1], neutral)])
        tables: Float64 = join(table[0::2, :, None], table[1::2, None, :])
        found: Float64 = tables.ravel().take(pairs.flat)
        return found
