"""What was tried beside the project's rules, on latents with a planted rare group."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.debiasing.candidates import CANDIDATES, whitened

COUNT, RARE = 600, 24


def latents(shift: float) -> NDArray[np.float32]:
    """Normal latents with stretched axes, of which the first few are moved along one direction."""
    rng = np.random.default_rng(5)
    found = rng.normal(size=(COUNT, 24))
    found[:RARE, 3] += shift
    stretched: NDArray[np.float32] = (found * np.linspace(0.5, 4, 24)).astype(np.float32)
    return stretched


def test_whitened_components_have_unit_variance_and_go_their_own_ways() -> None:
    components = whitened(latents(0.0), 10)
    assert components.shape == (COUNT, 10)
    np.testing.assert_allclose(np.cov(components.T), np.eye(10), atol=1e-6)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_scores_a_group_that_lies_apart_above_the_others(name: str) -> None:
    scores = CANDIDATES[name](latents(9.0))
    assert scores.shape == (COUNT,)
    assert np.isfinite(scores).all()
    gain = scores[:RARE].mean() - scores[RARE:].mean()
    without = CANDIDATES[name](latents(0.0))
    assert gain > 2 * abs(without[:RARE].mean() - without[RARE:].mean())
    assert gain > scores[RARE:].std() / 2


def test_long_tails_are_told_from_wide_ones() -> None:
    points = latents(9.0)
    rng = np.random.default_rng(6)
    both = slice(RARE, 2 * RARE)  # as far out, but to both sides
    points[both, 8] += 30 * rng.choice([-1, 1], RARE)
    scores = CANDIDATES["tails"](points)
    assert scores[:RARE].mean() > scores[both].mean()
