"""Raise the faces that a classifier is least sure of, by their rank among all faces.

What a classifier has seen too little of, it is unsure of: its logit of face against non-face finds
rare faces that matter to it, where rarity in the latents finds odd pictures. That errors of a first
classifier point at neglected groups is the idea of Just Train Twice (Liu et al., ICML 2021); here
ranks take the place of errors, for a classifier of faces soon makes hardly any.
"""

import numpy as np

from evenface_core.rules.evidence import Evidence, Float64

# (-ln U)^a of a uniform U has an effective sample size of Γ(a + 1)² / Γ(2a + 1) of the items,
# whatever the logits are: 26 % at 1.6.
POWER = 1.6

_EASIEST = 1 - 1e-12  # a share of 1 would be a weight of 0, whose logarithm is infinite


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
    found = evidence.packed[0].astype(np.intp)
    logits = evidence.latents[:, 0].astype(np.float64)
    low, high = evidence.edges[0, found], evidence.edges[0, found + 1]
    inside = np.clip((logits - low) / (high - low), 0, 1)
    below = (np.cumsum(counts) - counts)[found] + counts[found] * inside
    share = np.minimum((below + 0.5) / (counts.sum() + 1), _EASIEST)
    smoothing = evidence.smoothing
    scores: Float64 = POWER * np.log(np.log1p(smoothing) - np.log(share + smoothing))
    return scores
