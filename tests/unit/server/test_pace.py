"""Learning how long rows take from what they took."""

import pytest
from evenface_server.pace import Pace
from hypothesis import given
from hypothesis import strategies as st

FIXED, PER_ROW = 0.002, 0.0005


def true(rows: int) -> float:
    return FIXED + PER_ROW * rows


def learned(*rows: int) -> Pace:
    pace = Pace()
    for count in rows:
        pace.note(count, true(count))
    return pace


def test_nothing_is_predicted_before_anything_was_measured() -> None:
    assert Pace().seconds(100, runs=3) == 0


def test_one_size_is_all_that_is_known_of_the_rest() -> None:
    assert learned(4).seconds(8) == pytest.approx(2 * true(4))


def test_two_sizes_tell_the_fixed_part_from_that_of_a_row() -> None:
    pace = learned(1, 64, 1, 64, 1, 64)
    assert pace.seconds(32) == pytest.approx(true(32))
    assert pace.seconds(128, runs=2) == pytest.approx(2 * true(64))


def test_a_single_pause_changes_little() -> None:
    pace = learned(1, 64, 8, 32)
    pace.note(8, 100 * true(8))
    assert pace.seconds(8) == pytest.approx(true(8), rel=0.3)
    pace.note(8, true(8))
    assert pace.seconds(8) == pytest.approx(true(8), rel=0.2)


def test_a_lasting_change_is_followed_within_a_few_measurements() -> None:
    pace = learned(8, 8, 8, 8)
    for _ in range(4):
        pace.note(8, 10 * true(8))
    assert pace.seconds(8) == pytest.approx(10 * true(8), rel=0.5)
    for _ in range(16):
        pace.note(8, true(8))
    assert pace.seconds(8) == pytest.approx(true(8), rel=0.5)


def test_a_slow_start_is_forgotten() -> None:
    pace = Pace()
    pace.note(1, 5.0)
    for _ in range(30):
        pace.note(1, 0.001)
    assert pace.seconds(1) < 0.01


def test_doubt_lowers_what_is_predicted() -> None:
    pace = learned(1, 64)
    before = pace.seconds(10)
    pace.doubt()
    assert 0 < pace.seconds(10) < before


def test_what_was_doubted_to_nothing_is_learned_anew() -> None:
    pace = learned(1, 64)
    for _ in range(10_000):
        pace.doubt()
    for _ in range(30):
        pace.note(8, true(8))
    assert pace.seconds(8) == pytest.approx(true(8), rel=0.01)


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1e3)), min_size=1))
def test_no_measurements_make_time_run_backwards(measured: list[tuple[int, float]]) -> None:
    pace = Pace()
    for rows, seconds in measured:
        pace.note(rows, seconds)
        assert 0 <= pace.seconds(1) <= pace.seconds(2) <= pace.seconds(2, runs=2) < 1e9
