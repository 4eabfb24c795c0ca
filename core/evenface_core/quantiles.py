"""Bins that hold equally many items, for values of one dimension. Needs numpy alone."""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def quantile_edges(values: NDArray[np.floating], bins: int) -> Float64:
    """Make bins that hold equally many items, so that ranks are known as well in any tail.

    Args:
        values: [N, 1], finite.
        bins: At most so many.

    Returns:
        As `edges_at`.
    """
    ordered = np.sort(values[:, 0]).astype(np.float64)
    return edges_at(ordered[ranks(len(ordered), bins)], len(ordered))


def ranks(count: int, bins: int) -> NDArray[np.int64]:
    """Which of `count` values, in their order, the edges lie between; int64 [2, bins + 1]."""
    low = np.floor(_places(count, bins)).astype(np.int64)
    return np.stack([low, np.minimum(low + 1, count - 1)])


def edges_at(found: Float64, count: int) -> Float64:
    """Make the edges from the values at `ranks`, as numpy.quantile does: on straight lines.

    Args:
        found: float64 [2, bins + 1], those values.
        count: Of how many.

    Returns:
        float64 [1, B + 1], 2 ≤ B ≤ bins; fewer than bins where many values are equal.
    """
    low, high = found
    places = _places(count, len(low) - 1)
    between = low + (high - low) * (places - np.floor(places))
    edges: Float64 = np.unique(between + 0.0)  # of zeros of either sign 0
    if len(edges) < 3:  # noqa: PLR2004 - all are equal, or of two values
        edges = np.array([edges[0] - 0.5, edges.mean(), edges[-1] + 0.5])
    return edges[None]


def _places(count: int, bins: int) -> Float64:
    places: Float64 = np.linspace(0, 1, bins + 1) * (count - 1)
    return places
