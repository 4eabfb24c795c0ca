import numpy as np
import pytest
from evenface_core.balance import balance
from evenface_core.errors import InvalidInput


def test_known_groups_weigh_alike_and_the_unknown_keep_their_share() -> None:
    groups = np.array([0] * 70 + [3] * 10 + [-1] * 20)
    weights = balance(groups)
    assert weights.values[groups == 0].sum() == pytest.approx(0.4)
    assert weights.values[groups == 3].sum() == pytest.approx(0.4)
    assert weights.values[groups == -1].sum() == pytest.approx(0.2)
    assert weights.rule == "groups"


def test_balance_is_tempered_to_an_effective_sample_size() -> None:
    groups = np.repeat([0, 1], [990, 10])
    assert balance(groups).effective_sample_size < 0.1 * 1000
    tempered = balance(groups, min_effective_sample_size=0.5)
    assert tempered.effective_sample_size == pytest.approx(500, rel=1e-6)
    assert 0.01 < tempered.values[groups == 1].sum() < 0.5


@pytest.mark.parametrize("groups", [[-1, -1], [], [-2, 0]])
def test_groups_that_say_nothing_are_refused(groups: list[int]) -> None:
    with pytest.raises(InvalidInput, match="groups"):
        balance(np.array(groups, np.int64))


def test_a_share_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(InvalidInput, match="min_effective_sample_size"):
        balance(np.array([0, 1]), min_effective_sample_size=1.5)
