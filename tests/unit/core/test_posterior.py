"""The aggregate posterior: fitted to encodings, drawn from, kept in the manifest."""

import numpy as np
import pytest
from evenface_core.latents import Float32
from evenface_core.manifest import AggregatePosterior
from pydantic import ValidationError


def encodings() -> tuple[Float32, Float32]:
    """Posteriors whose means are strongly correlated."""
    random = np.random.default_rng(0)
    common = random.normal(size=(400, 1))
    mean = 3 + common * [2.0, -1.0, 0.5] + random.normal(size=(400, 3)) * 0.3
    return mean.astype(np.float32), random.normal(-1, 0.5, (400, 3)).astype(np.float32)


def noise(rows: int) -> Float32:
    return np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)


def test_draws_have_the_moments_of_the_mixture_of_posteriors() -> None:
    mean, log_variance = encodings()
    random = np.random.default_rng(2)
    deviation = np.exp(log_variance / 2)[:, None]
    mixture = (mean[:, None] + deviation * random.normal(size=(400, 500, 3))).reshape(-1, 3)
    posterior = AggregatePosterior.fit(mean, log_variance)
    draws = posterior.draw(noise(200_000))
    np.testing.assert_allclose(draws.mean(axis=0), mixture.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(mixture.T), atol=0.05)
    np.testing.assert_allclose(posterior.std, mixture.std(axis=0), rtol=0.01)


def test_without_a_factor_dimensions_are_independent() -> None:
    posterior = AggregatePosterior(mean=(1.0, 2.0, 3.0), std=(0.0, 1.0, 2.0))
    given = noise(5)
    np.testing.assert_allclose(posterior.draw(given), [1, 2, 3] + given * [0, 1, 2], rtol=1e-6)


def test_it_survives_the_way_through_json() -> None:
    posterior = AggregatePosterior.fit(*encodings())
    again = AggregatePosterior.model_validate_json(posterior.model_dump_json())
    assert np.array_equal(again.draw(noise(7)), posterior.draw(noise(7)))


def test_one_image_and_one_dimension_can_be_fitted() -> None:
    posterior = AggregatePosterior.fit(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    assert posterior.draw(np.array([[2.0]], np.float32)).tolist() == [[3.0]]


@pytest.mark.parametrize("factor", [[[1.0]], [[1.0], [1.0]], [[1.0], [0.0, 1.0], [0.0, 0.0, 1.0]]])
def test_a_factor_that_is_no_triangle_is_refused(factor: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="rows of 1 to 2 values"):
        AggregatePosterior.model_validate({"mean": [0, 0], "std": [1, 1], "factor": factor})
