"""Resampling weights by known groups, for those who have labels. Needs numpy alone."""

import numpy as np
from numpy.typing import NDArray

from evenface_core.errors import InvalidInput
from evenface_core.resampling import Weights, check_options
from evenface_core.weights import weights_of

RULE = "groups"


def balance(groups: NDArray[np.integer], *, min_effective_sample_size: float = 0.0) -> Weights:
    """Weight items so that all groups weigh the same.

    Items of no known group keep the share of the weight that they have by number.

    Args:
        groups: [N], N ≥ 1; each item's group as a number from 0, or -1 where it is unknown.
        min_effective_sample_size: Share of N, 0 to 1, that tempering must reach.

    Raises:
        InvalidInput: Nothing is known of any item, or an argument cannot be used.
    """
    check_options(min_effective_sample_size=min_effective_sample_size)
    if groups.ndim != 1 or not (groups >= 0).any() or groups.min() < -1:
        raise InvalidInput("groups", "must be [N], at least -1, and somebody's must be known")
    known = groups >= 0
    counts = np.bincount(groups[known])
    even = known.sum() / np.count_nonzero(counts)
    scores = np.zeros(len(groups))
    scores[known] = np.log(even / counts[groups[known]])
    return weights_of(scores, RULE, min_effective_sample_size)
