"""The rule of MIT 6.S191, lab 2: per dimension 1 / density, over dimensions the maximum."""

import numpy as np

from evenface_core.rules.evidence import Evidence, Float64


def log_scores(evidence: Evidence) -> Float64:
    """Score items by the dimension in which they are rarest.

    Per dimension p = 1 / density of the item's bin, divided by its sum over the population's
    items, which is Σ_b count_b / density_b; the score is the largest p.

    Returns:
        float64 [N], logarithms.
    """
    inverse = 1.0 / evidence.density
    per_bin = inverse / (evidence.counts * inverse).sum(axis=1, keepdims=True)
    return evidence.largest(np.log(per_bin))
