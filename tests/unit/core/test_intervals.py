import pytest
from evenface_core.intervals import wilson_interval


def test_the_interval_of_a_rate_is_wilsons() -> None:
    # Figures of Wilson's formula from Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
