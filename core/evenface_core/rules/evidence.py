"""What a rule knows of the items that it scores. Needs numpy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface_core.bins import Bins
from evenface_core.packing import Packing

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """A block of items and the population that they are judged against.

    Attributes:
        latents: [N, D], the items, in the precision in which they came.
        edges: float64 [D, B + 1], of the bins.
        packed: uint8 or uint16 [G, N], the bins of each item; of one dimension they are the bin.
        packing: How they are packed.
        counts: int64 [D, B], the population's items per bin.
        density: float64 [D, B], the population's smoothed density, summing to 1 over the bins.
        smoothing: What it was smoothed with.
    """

    latents: NDArray[np.floating]
    edges: Float64
    packed: Bins
    packing: Packing
    counts: NDArray[np.int64]
    density: Float64
    smoothing: float

    def largest(self, table: Float64) -> Float64:
        """The largest over the dimensions of what items find in a table [D, B]; float64 [N]."""
        return self.packing.largest(self.packed, table)

    def total(self, table: Float64) -> Float64:
        """The sum over the dimensions of what items find in a table [D, B]; float64 [N]."""
        return self.packing.total(self.packed, table)
