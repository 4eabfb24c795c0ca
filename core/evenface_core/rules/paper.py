"""The rule of Amini et al., AIES 2019: the product of 1 / density over the dimensions."""

import numpy as np

from evenface_core.rules.evidence import Evidence, Float64


def log_scores(evidence: Evidence) -> Float64:
    """Score items as if the latent dimensions were independent.

    Over many dimensions the product piles nearly all weight on a few items; use it with a least
    effective sample size.

    Returns:
        float64 [N], logarithms.
    """
    return evidence.total(-np.log(evidence.density))
