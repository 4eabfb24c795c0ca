"""Raise the faces that a classifier is least sure of, by their rank among all faces.

What a classifier has seen too little of, it is unsure of: its logit of face against non-face finds
rare faces that matter to it, where rarity in the latents finds odd pictures. That errors of a first
classifier point at neglected groups is the idea of Just Train Twice (Liu et al., ICML 2021); here
ranks take the place of errors, for a classifier of faces soon makes hardly any.
"""

import numpy as np
from numpy.typing import NDArray

from evenface_core.rules.evidence import Evidence, Float64

# (-ln U)^a of a uniform U has an effective sample size of Γ(a + 1)² / Γ(2a + 1) of the items,
# whatever the logits are: 26 % at 1.6.
POWER = 1.6

_EASIEST = 1 - 1e-12  # a share of 1 would be a weight of 0, whose logarithm is infinite


def edges(logits: NDArray[np.floating], bins: int) -> Float64:
    """Make bins that hold equally many items, so that ranks are known as well in any tail.

    Args:
        logits: [N, 1].
        bins: At most so many; fewer where many logits are equal.

    Returns:
        float64 [1, B + 1], 2 ≤ B ≤ bins.
    """
    ordered = np.sort(logits[:, 0]).astype(np.float64)
    return edges_at(ordered[ranks(len(ordered), bins)], len(ordered))


def ranks(count: int, bins: int) -> NDArray[np.int64]:
    """Which of `count` logits, in their order, the edges lie between; int64 [2, bins + 1]."""
    low = np.floor(_places(count, bins)).astype(np.int64)
    return np.stack([low, np.minimum(low + 1, count - 1)])


def edges_at(found: Float64, count: int) -> Float64:
    """Make the edges from the logits at `ranks`, as numpy.quantile does: on straight lines.

    Args:
        found: float64 [2, bins + 1], those logits.
        count: Of how many.

    Returns:
        float64 [1, B + 1], 2 ≤ B ≤ bins; fewer than bins where many logits are equal.
    """
    low, high = found
    places = _places(count, len(low) - 1)
    edges: Float64 = np.unique(low + (high - low) * (places - np.floor(places)))
    if len(edges) < 3:  # noqa: PLR2004 - all are equal, or of two values
        edges = np.array([edges[0] - 0.5, edges.mean(), edges[-1] + 0.5])
    return edges[None]


def _places(count: int, bins: int) -> Float64:
    places: Float64 = np.linspace(0, 1, bins + 1) * (count - 1)
    return places


def log_scores(evidence: Evidence) -> Float64:
    """Score faces by (-ln share)^1.6, where share is that of the faces with a lower logit.

    The share is read from the histogram, by straight lines between its edges, as (r + ½) / (N + 1)
    of r of N faces; smoothing s makes it (share + s) / (1 + s), so that the hardest are raised no
    further than faces of a share of s.

    Args:
        evidence: Latents of one dimension, the logits; the population's in the same bins.

    Returns:
        float64 [N], logarithms.
    """
    counts = evidence.counts[0].astype(np.float64)
    found = evidence.packed[:, 0].astype(np.intp)
    logits = evidence.latents[:, 0].astype(np.float64)
    low, high = evidence.edges[0, found], evidence.edges[0, found + 1]
    inside = np.clip((logits - low) / (high - low), 0, 1)
    below = (np.cumsum(counts) - counts)[found] + counts[found] * inside
    share = np.minimum((below + 0.5) / (counts.sum() + 1), _EASIEST)
    smoothing = evidence.smoothing
    scores: Float64 = POWER * np.log(np.log1p(smoothing) - np.log(share + smoothing))
    return scores
