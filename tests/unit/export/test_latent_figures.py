import numpy as np
import pytest
from evenface_core.resampling import LatentHistogram
from evenface_export.latent_figures import (
    Bools,
    summarise_latents,
)

RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(300, 4)).astype(np.float32)
LOG_VARIANCES = RNG.normal(-2, 0.5, size=(300, 4)).astype(np.float32)
COLOUR = np.array(["gray", "color", ""] * 100)
GROUPS: dict[str, Bools] = {f"tone={v}": np.equal(COLOUR, v) for v in ("color", "gray")}


def test_the_aggregate_posterior_holds_both_kinds_of_variance() -> None:
    figures = summarise_latents(LATENTS, LOG_VARIANCES, {})
    variance = LATENTS.var(axis=0) + np.exp(LOG_VARIANCES).mean(axis=0)
    np.testing.assert_allclose(figures.posterior.mean, LATENTS.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(figures.posterior.std, np.sqrt(variance), rtol=1e-5)
    np.testing.assert_allclose(figures.activity, LATENTS.std(axis=0), rtol=1e-5)


def test_shares_are_sums_of_the_labs_weights() -> None:
    figures = summarise_latents(LATENTS, LOG_VARIANCES, GROUPS, bins=7)
    (lab,) = figures.weightings
    expected = LatentHistogram.from_latents(LATENTS, 7).weights(LATENTS, "lab").values
    assert figures.histogram.counts.shape == (4, 7)
    assert lab.shares["tone=color"] == pytest.approx(expected[COLOUR == "color"].sum())


def test_the_runs_own_weighting_is_added_only_where_it_differs() -> None:
    histogram = LatentHistogram.from_latents(LATENTS)
    same = histogram.weights(LATENTS, "lab")
    tempered = histogram.weights(LATENTS, "lab", min_effective_sample_size=0.95)
    assert len(summarise_latents(LATENTS, LOG_VARIANCES, {}).weightings) == 1
    assert len(summarise_latents(LATENTS, LOG_VARIANCES, {}, own=same).weightings) == 1
    lab, own = summarise_latents(LATENTS, LOG_VARIANCES, {}, own=tempered).weightings
    assert lab.weights.effective_sample_size < 0.95 * 300
    assert own.weights.effective_sample_size >= 0.95 * 300
