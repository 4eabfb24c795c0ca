"""Rates by group, their spread."""

import numpy as np
import pytest
from evenface_training.groups import group_rates, spread


def test_the_spread_over_groups_counts_each_group_alike_and_in_percent_squared() -> None:
    found = spread({"a": 0.9, "b": 1.0, "c": 0.8})
    assert found.mean == pytest.approx(0.9)
    assert found.variance == pytest.approx((0 + 100 + 100) / 3)
    assert (found.worst, found.worst_rate) == ("c", 0.8)


def test_both_thresholds_are_applied_to_every_group() -> None:
    others = np.linspace(-3, 1, 100)  # one of them reaches 1, and one is allowed
    faces = np.array([-1.0, 0.5, 0.97, 0.0, 2.0])
    groups = {
        "rare": np.array([True] * 3 + [False] * 2),
        "common": np.array([False] * 3 + [True] * 2),
    }
    rates = group_rates(faces, others, groups)
    assert rates.at_half == {"rare": pytest.approx(2 / 3), "common": 1.0}
    assert rates.at_one_percent == {"rare": pytest.approx(1 / 3), "common": 0.5}
    assert 0.95 < rates.threshold < 0.97
