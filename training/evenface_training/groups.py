"""How evenly a classifier treats groups of faces. Pure functions of logits and memberships.

E[A] and Var[A] over groups are those by which Amini et al. (AIES 2019, "Uncovering and Mitigating
Algorithmic Bias through Learned Latent Structure", section 5) compare classifiers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evenface_training.metrics import Logits, Members, threshold_at, true_positive_rates

FALSE_POSITIVES = 0.01


@dataclass(frozen=True)
class Spread:
    """True positive rates over groups, each group counting alike.

    Attributes:
        mean: E[A], 0 to 1.
        variance: Var[A] over these groups (not an estimate for others), in percent², as in the
            paper.
        worst: Name of the group with the lowest rate, the first of several.
        worst_rate: Its rate, 0 to 1.
    """

    mean: float
    variance: float
    worst: str
    worst_rate: float


@dataclass(frozen=True)
class GroupRates:
    """True positive rates by group, at two thresholds.

    Attributes:
        at_half: At probability 0.5, which is logit 0.
        at_one_percent: At the threshold that lets 1 % of the non-faces pass.
        threshold: That threshold, a logit.
    """

    at_half: Mapping[str, float]
    at_one_percent: Mapping[str, float]
    threshold: float


def group_rates(face_logits: Logits, nonface_logits: Logits, groups: Members) -> GroupRates:
    """Measure every group at both thresholds.

    Args:
        face_logits: [F].
        nonface_logits: [M], at least one.
        groups: By name, bool [F] with at least one member.
    """
    threshold = threshold_at(nonface_logits, FALSE_POSITIVES)
    return GroupRates(
        at_half=true_positive_rates(face_logits, groups),
        at_one_percent=true_positive_rates(face_logits, groups, threshold),
        threshold=threshold,
    )


def spread(rates: Mapping[str, float]) -> Spread:
    """Summarise the rates of at least one group."""
    values = np.array(list(rates.values()))
    worst = min(rates, key=lambda name: rates[name])
    return Spread(
        mean=float(values.mean()),
        variance=float((100.0 * values).var()),
        worst=worst,
        worst_rate=rates[worst],
    )
