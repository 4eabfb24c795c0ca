import pytest
from evenface_export.card import wilson_interval
from evenface_export.markdown import section, table


def test_the_interval_of_a_rate_is_wilsons() -> None:
    # Figures of Wilson's formula from Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_a_label_cannot_break_a_table() -> None:
    assert table(["a"], [["one | two\nthree"]]) == "| a |\n| --- |\n| one \\| two three |"


def test_empty_blocks_leave_no_gap() -> None:
    assert section("## Title", "", "text") == "## Title\n\ntext"
