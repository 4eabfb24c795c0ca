import numpy as np
import pytest
from evenface_core.resampling import LatentHistogram
from evenface_export.latent_figures import (
    LEAST_MEMBERS,
    Bools,
    attribute_name,
    attribute_vectors,
    summarise_latents,
)

RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(300, 4)).astype(np.float32)
LOG_VARIANCES = RNG.normal(-2, 0.5, size=(300, 4)).astype(np.float32)
COLOUR = np.array(["gray", "color", ""] * 100)
GROUPS: dict[str, Bools] = {f"tone={v}": np.equal(COLOUR, v) for v in ("color", "gray")}


def test_an_attribute_points_from_the_other_values_to_its_own() -> None:
    vectors = attribute_vectors(LATENTS, GROUPS)
    expected = LATENTS[COLOUR == "color"].mean(0) - LATENTS[COLOUR == "gray"].mean(0)
    assert set(vectors) == {"tone-color", "tone-gray"}
    np.testing.assert_allclose(vectors["tone-color"], expected, atol=1e-6)
    np.testing.assert_allclose(vectors["tone-gray"], -expected, atol=1e-6)


def test_a_group_with_too_few_members_or_no_rest_has_no_attribute() -> None:
    few = np.arange(300) < LEAST_MEMBERS - 1
    assert attribute_vectors(LATENTS, {"hat=yes": few, "hat=no": ~few}) == {}
    assert attribute_vectors(LATENTS, {"hat=yes": np.ones(300, bool)}) == {}


def test_columns_do_not_mix() -> None:
    other: dict[str, Bools] = {"gender=F": np.arange(300) < 100, "gender=M": np.arange(300) >= 200}
    alone, together = attribute_vectors(LATENTS, GROUPS), attribute_vectors(LATENTS, GROUPS | other)
    assert together["tone-color"] == alone["tone-color"]


@pytest.mark.parametrize(
    ("group", "name"), [("gender=F", "gender-f"), ("Hair Style=Très long!", "hair-style-tr-s-long")]
)
def test_attributes_have_plain_lower_case_names(group: str, name: str) -> None:
    assert attribute_name(group) == name


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
