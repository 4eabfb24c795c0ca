"""Items put into bins: between which edges, and how many lie where. Needs numpy alone."""

import numpy as np
from numpy.typing import NDArray

from evenface_core.bins import BinFinder, Bins, NotFinite, block_rows, extremes
from evenface_core.blocks import Scratch, in_threads
from evenface_core.errors import InvalidInput
from evenface_core.latents import require_finite
from evenface_core.packing import Packing

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Latents = NDArray[np.floating]

MAX_BINS = 1000


class Binning:
    """Items and the bins that they lie in.

    Args:
        edges: float64 [D, B + 1], increasing.
        latents: [N, D], N ≥ 1, finite.
        keep: Whether to keep the bins that were found for counting, up to a byte a value.

    Raises:
        InvalidInput: The latents or the edges cannot be used.
    """

    def __init__(self, edges: Float64, latents: Latents, *, keep: bool = False) -> None:
        check_edges(edges)
        check_shape(latents, edges.shape[0])
        self.latents = latents
        self.packing = Packing.best(edges.shape[0], edges.shape[1] - 1, len(latents))
        self._finder = BinFinder(edges, latents.dtype)
        self._kept: dict[int, Bins] | None = {} if keep else None

    def counts(self) -> Int64:
        """Count the items, int64 [D, B]."""
        parts = in_threads(lambda rows: self.packing.count(self.packed(rows)), *self.latents.shape)
        counts = next(parts)
        for part in parts:
            counts += part
        return self.packing.unpack(counts)

    def packed(self, rows: slice) -> Bins:
        """The bins of a block of rows, as `packing` packs them.

        Raises:
            InvalidInput: A latent is not finite; names the first.
        """
        kept = self._kept.get(rows.start) if self._kept is not None else None
        if kept is not None:
            return kept
        packed = self._pack(self.latents[rows])
        if self._kept is not None:
            self._kept[rows.start] = packed
        return packed

    def _pack(self, latents: Latents) -> Bins:
        packed = self.packing.room(len(latents))
        scratch, step = Scratch(), block_rows(self.packing.size)
        try:
            for start in range(0, len(latents), step):
                found = self._finder.find(latents[start : start + step], scratch)
                self.packing.pack(found, packed[:, start : start + step], scratch)
        except NotFinite:
            require_finite(self.latents, field="latents")
            raise
        return packed


def equal_edges(latents: Latents, bins: int) -> Float64:
    """Make equal bins from the least to the greatest value of each dimension.

    Args:
        latents: [N, D], N ≥ 1, finite.
        bins: B, 2 to 1000.

    Returns:
        float64 [D, B + 1].

    Raises:
        InvalidInput: The latents cannot be used.
    """
    check_shape(latents, None)
    found = list(in_threads(lambda rows: extremes(latents[rows]), *latents.shape))
    low, high = (np.array(each) for each in zip(*found, strict=True))
    low, high = low.min(axis=0), high.max(axis=0)
    if not np.isfinite([low, high]).all():
        require_finite(latents, field="latents")
    return edges_between(low, high, bins)


def edges_between(low: Float64, high: Float64, bins: int) -> Float64:
    """Make equal bins between the least and the greatest value of each dimension.

    As numpy.histogram does: where both are equal, from half below to half above.

    Args:
        low: float64 [D], finite.
        high: float64 [D], finite.
        bins: B.

    Returns:
        float64 [D, B + 1].
    """
    flat = low == high
    low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    edges: Float64 = np.linspace(low, high, bins + 1, axis=1)
    return edges


def check_edges(edges: Float64) -> None:
    """Refuse what cannot be edges of bins.

    Raises:
        InvalidInput: Shape, order or numbers are wrong.
    """
    if edges.ndim != 2 or edges.shape[0] < 1 or not 3 <= edges.shape[1] <= MAX_BINS + 1:  # noqa: PLR2004
        raise InvalidInput(
            "histogram.edges", f"shape {edges.shape} is not [D, B + 1] with 2 ≤ B ≤ {MAX_BINS}"
        )
    if not np.isfinite(edges).all() or not (np.diff(edges, axis=1) > 0).all():
        raise InvalidInput("histogram.edges", "must be finite and increase in each dimension")


def check_shape(latents: Latents, size: int | None) -> None:
    """Refuse latents of a wrong shape.

    Args:
        latents: [N, D].
        size: D, or None for any.

    Raises:
        InvalidInput: It is another, or there is nothing.
    """
    if latents.ndim != 2 or 0 in latents.shape:  # noqa: PLR2004
        raise InvalidInput("latents", f"shape {latents.shape} is not [N, D] with N ≥ 1, D ≥ 1")
    if size is not None and latents.shape[1] != size:
        raise InvalidInput(
            "latents",
            f"{latents.shape[1]} dimensions, but the histogram has {size}",
            value=latents.shape[1],
            limit=size,
        )
