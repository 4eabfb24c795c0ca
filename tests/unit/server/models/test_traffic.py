"""How requests that name no version are dealt out."""

from collections import Counter

from evenface_server.models.traffic import Split
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
