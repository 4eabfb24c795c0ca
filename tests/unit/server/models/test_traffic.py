"""How requests that name no version are dealt out."""

from collections import Counter

import pytest
from evenface_server.models.traffic import Split, parse_weights
from hypothesis import given
from hypothesis import strategies as st


def test_versions_are_evenly_mixed() -> None:
    split = Split({"1": 3, "2": 1})
    assert [split.next() for _ in range(8)] == ["1", "1", "2", "1"] * 2


@given(st.dictionaries(st.text("123", min_size=1), st.integers(1, 100), min_size=1, max_size=5))
def test_shares_are_exact_after_every_round_and_never_far_off(weights: dict[str, int]) -> None:
    split, total = Split(weights), sum(weights.values())
    counts: Counter[str] = Counter()
    for number in range(1, 2 * total + 1):
        counts[split.next()] += 1
        for version, weight in weights.items():
            assert abs(counts[version] - number * weight / total) < len(weights)
    assert counts == {version: 2 * weight for version, weight in weights.items()}


def test_weights_are_read_from_a_line() -> None:
    assert parse_weights("faces/1=90, faces/2=10,other/1.5-rc=0,other/2=1") == {
        "faces": {"1": 90, "2": 10},
        "other": {"1.5-rc": 0, "2": 1},
    }


@pytest.mark.parametrize(
    "wrong",
    ["", "faces=1", "faces/1", "faces/1=x", "faces/1=-1", "faces/1=1000001", "a/1=1,,b/1=1"],
)
def test_a_line_that_means_no_weights_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not NAME/VERSION=WEIGHT"):
        parse_weights(wrong)


def test_weights_that_are_all_0_are_refused() -> None:
    with pytest.raises(ValueError, match="all weights of 'faces' are 0"):
        parse_weights("faces/1=0,other/1=1")
