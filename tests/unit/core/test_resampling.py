"""Resampling against a plain per-dimension loop written from the formula."""

import numpy as np
import pytest
from evenface_core.errors import InvalidInput
from evenface_core.latents import Float64
from evenface_core.quantiles import quantile_edges
from evenface_core.resampling import (
    DEFAULT_SMOOTHING,
    LatentHistogram,
    effective_sample_size,
    temper,
    weigh,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def densities_by_loop(values: Float64, bins: int, smoothing: float) -> tuple[Float64, Float64]:
    """Smoothed density of each item's bin in one dimension, and 1 / it normalised over items."""
    counts, edges = np.histogram(values, bins=bins)
    density = [
        counts[b] / (len(values) * (edges[b + 1] - edges[b])) + smoothing for b in range(bins)
    ]
    share = [one / sum(density) for one in density]
    own = []
    for value in values:
        bin_of_value = 0
        while bin_of_value < bins - 1 and value >= edges[bin_of_value + 1]:
            bin_of_value += 1
        own.append(share[bin_of_value])
    inverse = np.array([1 / one for one in own])
    return np.array(own), inverse / inverse.sum()


def lab_by_loop(latents: Float64, bins: int, smoothing: float) -> Float64:
    best = np.zeros(len(latents))
    for dimension in range(latents.shape[1]):
        _, p = densities_by_loop(latents[:, dimension], bins, smoothing)
        best = np.maximum(best, p)
    best /= best.sum()
    return best


def paper_by_loop(latents: Float64, bins: int, smoothing: float) -> Float64:
    product = np.ones(len(latents))
    for dimension in range(latents.shape[1]):
        own, _ = densities_by_loop(latents[:, dimension], bins, smoothing)
        product = product / own
    product /= product.sum()
    return product


def latents_of(rows: int, size: int, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).normal(size=(rows, size)) * np.linspace(0.1, 5, size)


@pytest.mark.parametrize("bins", [2, 10, 37])
@pytest.mark.parametrize("smoothing", [0.001, 0.1, 3.0])
def test_the_lab_rule_equals_the_plain_loop(bins: int, smoothing: float) -> None:
    latents = latents_of(500, 12)
    weights = LatentHistogram.from_latents(latents, bins).weights(latents, smoothing=smoothing)
    assert np.abs(weights.values - lab_by_loop(latents, bins, smoothing)).max() < 1e-12


@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_paper_rule_equals_the_plain_loop(size: int) -> None:
    latents = latents_of(300, size)
    weights = LatentHistogram.from_latents(latents).weights(latents, "paper")
    expected = paper_by_loop(latents, 10, DEFAULT_SMOOTHING)
    assert np.abs(weights.values - expected).max() < 1e-12


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 5), st.integers(2, 12), st.integers(0, 2**32), st.booleans()
)
def test_both_rules_equal_the_loop_on_any_data(
    rows: int, size: int, bins: int, seed: int, rounded: bool
) -> None:
    latents = latents_of(rows, size, seed)
    if rounded:  # many equal values, some of them on the edges
        latents = np.round(latents)
    histogram = LatentHistogram.from_latents(latents, bins)
    for rule, loop in (("lab", lab_by_loop), ("paper", paper_by_loop)):
        values = histogram.weights(latents, rule).values
        assert np.abs(values - loop(latents, bins, DEFAULT_SMOOTHING)).max() < 1e-12


def test_float32_latents_fall_in_the_same_bins_as_in_the_loop() -> None:
    latents = latents_of(400, 20).astype(np.float32)
    values = LatentHistogram.from_latents(latents).weights(latents).values
    expected = lab_by_loop(latents.astype(np.float64), 10, DEFAULT_SMOOTHING)
    assert np.abs(values - expected).max() < 1e-12


def test_a_rare_item_weighs_more_than_a_common_one() -> None:
    latents = np.concatenate([np.zeros((98, 1)), [[9.0]], [[10.0]]])
    latents[:98] += np.linspace(0, 0.5, 98)[:, None]
    values = LatentHistogram.from_latents(latents).weights(latents).values
    assert values[-1] > 10 * values[0]


def test_merged_shards_weigh_exactly_as_the_whole() -> None:
    latents = latents_of(1000, 8)
    whole = LatentHistogram.from_latents(latents)
    shards = [LatentHistogram.with_edges(part, whole.edges) for part in np.split(latents, 4)]
    merged = shards[0].merge(shards[1]).merge(shards[2]).merge(shards[3])
    assert np.array_equal(merged.counts, whole.counts)
    assert np.array_equal(merged.weights(latents).values, whole.weights(latents).values)


@pytest.mark.parametrize("rule", ["lab", "paper", "hard"])
def test_batches_against_one_histogram_combine_to_the_global_weights(rule: str) -> None:
    latents = latents_of(600, 1 if rule == "hard" else 8)
    histogram = LatentHistogram.from_latents(latents)
    parts = [histogram.weights(part, rule) for part in np.split(latents, 3)]
    scores = np.concatenate([part.values * np.exp(part.log_total) for part in parts])
    expected = histogram.weights(latents, rule).values
    assert np.abs(scores / scores.sum() - expected).max() < 1e-14


def test_values_beyond_the_edges_count_in_the_outer_bins() -> None:
    histogram = LatentHistogram.with_edges(
        np.array([[-100.0], [0.5], [100.0]]), np.array([[0.0, 1.0, 2.0]])
    )
    assert histogram.counts.tolist() == [[2, 1]]


def test_edges_that_differ_do_not_merge() -> None:
    one = LatentHistogram.from_latents(latents_of(10, 2))
    other = LatentHistogram.from_latents(latents_of(10, 2, seed=1))
    with pytest.raises(InvalidInput, match="equal edges"):
        one.merge(other)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_tempering_reaches_the_least_effective_sample_size_and_no_more(share: float) -> None:
    latents = latents_of(500, 60)
    histogram = LatentHistogram.from_latents(latents)
    plain = histogram.weights(latents, "paper")
    tempered = histogram.weights(latents, "paper", min_effective_sample_size=share)
    assert plain.effective_sample_size < 0.1 * 500
    assert tempered.effective_sample_size == pytest.approx(share * 500, rel=1e-6)
    assert tempered.effective_sample_size >= share * 500
    assert 0 < tempered.temper < 1
    assert np.array_equal(np.argsort(tempered.values), np.argsort(plain.values))


def test_weights_that_are_even_enough_are_not_tempered() -> None:
    latents = latents_of(500, 3)
    weights = LatentHistogram.from_latents(latents).weights(
        latents, smoothing=10.0, min_effective_sample_size=0.5
    )
    assert weights.temper == 1.0


def test_full_tempering_gives_equal_weights() -> None:
    exponent = temper(np.array([0.0, 5.0, -3.0]), 3.0)
    assert exponent == pytest.approx(0.0, abs=1e-6)


def test_the_effective_sample_size_of_equal_weights_is_their_number() -> None:
    assert effective_sample_size(np.full(7, 1 / 7)) == pytest.approx(7)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)


def test_one_item_and_constant_dimensions_have_weights() -> None:
    latents = np.full((1, 4), 3.0)
    assert LatentHistogram.from_latents(latents).weights(latents).values.tolist() == [1.0]


def test_hundreds_of_dimensions_do_not_overflow_the_paper_rule() -> None:
    latents = latents_of(200, 900)
    values = LatentHistogram.from_latents(latents).weights(latents, "paper").values
    assert np.isfinite(values).all()
    assert values.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": "none"}, "rule"),
        ({"smoothing": 0.0}, "smoothing"),
        ({"smoothing": float("inf")}, "smoothing"),
        ({"min_effective_sample_size": 1.5}, "min_effective_sample_size"),
    ],
)
def test_a_bad_argument_is_named(change: dict[str, float | str], field: str) -> None:
    latents = latents_of(10, 2)
    with pytest.raises(InvalidInput) as caught:
        LatentHistogram.from_latents(latents).weights(latents, **change)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_an_infinite_latent_is_named_by_its_index() -> None:
    latents = latents_of(10, 2)
    latents[7, 1] = np.inf
    with pytest.raises(InvalidInput, match=r"latents\[7\]"):
        LatentHistogram.from_latents(latents)


@pytest.mark.parametrize(
    ("edges", "counts", "problem"),
    [
        ([[0.0, 1.0, 1.0]], [[1, 1]], "increase"),
        ([[0.0, 1.0, np.nan]], [[1, 1]], "finite"),
        ([[0.0, 1.0]], [[1]], "shape"),
        ([[0.0, 1.0, 2.0]], [[1, 1, 1]], "does not fit"),
        ([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[1, 1], [1, 2]], "same sum"),
        ([[0.0, 1.0, 2.0]], [[-1, 2]], "0 to 2"),
        ([[0.0, 1.0, 2.0]], [[2**62, 2**62]], "0 to 2"),
    ],
)
def test_a_histogram_that_makes_no_sense_is_refused(
    edges: list[list[float]], counts: list[list[int]], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        LatentHistogram(np.array(edges), np.array(counts))


def test_an_empty_histogram_gives_no_weights() -> None:
    empty = LatentHistogram(np.array([[0.0, 1.0, 2.0]]), np.array([[0, 0]]))
    with pytest.raises(InvalidInput, match="counts no item"):
        empty.weights(np.zeros((1, 1)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_latents_without_items_or_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="latents"):
        LatentHistogram.from_latents(np.zeros(shape))


def test_latents_of_another_size_are_refused() -> None:
    histogram = LatentHistogram.from_latents(latents_of(10, 3))
    with pytest.raises(InvalidInput, match="4 dimensions, but the histogram has 3"):
        histogram.weights(latents_of(10, 4))


def test_a_histogram_of_extreme_numbers_is_refused_not_answered_with_nan() -> None:
    edges = np.tile(np.array([0.0, 5e-324, 1e-323]), (3, 1))
    histogram = LatentHistogram(edges, np.ones((3, 2), np.int64))
    with pytest.raises(InvalidInput, match="too extreme"):
        histogram.weights(np.zeros((3, 3)))


def test_items_are_weighed_against_a_histogram_edges_or_themselves() -> None:
    latents, others = latents_of(50, 3), latents_of(50, 3, seed=1)
    population = LatentHistogram.from_latents(others)
    against, weights = weigh(latents, population)
    assert against is population
    assert np.array_equal(weights.values, population.weights(latents).values)
    counted, _ = weigh(latents, population.edges)
    assert np.array_equal(
        counted.counts, LatentHistogram.with_edges(latents, population.edges).counts
    )
    alone, _ = weigh(latents, bins=7)
    assert np.array_equal(alone.edges, LatentHistogram.from_latents(latents, 7).edges)


def test_latents_too_far_apart_for_bins_are_refused() -> None:
    with pytest.raises(InvalidInput, match="finite"):
        weigh(np.array([[-1.7e308], [1.7e308]]))


@pytest.mark.parametrize(("size", "bins"), [(1, 2), (7, 10), (64, 16), (3, 17), (5, 300)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_value_of_any_precision_lies_above_the_edges_that_it_reaches(
    size: int, bins: int, dtype: type[np.floating]
) -> None:
    generator = np.random.default_rng(bins)
    latents = (generator.normal(size=(400, size)) * 100).astype(dtype)
    edges = np.sort(generator.normal(size=(size, bins + 1)) * 100, axis=1)
    edges[:, 1] = latents[0].astype(float)  # exactly at a value
    edges = np.sort(edges, axis=1) + np.arange(bins + 1) * 1e-9
    histogram = LatentHistogram.with_edges(latents, edges)
    for own, counts, column in zip(edges, histogram.counts, latents.T, strict=True):
        found = [sum(float(value) >= edge for edge in own[1:-1]) for value in column]
        assert np.array_equal(np.bincount(found, minlength=bins), counts)


def test_many_values_are_counted_and_weighted_on_all_cores_as_on_one() -> None:
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(270_001, 63)).astype(np.float32)
    histogram, weights = weigh(latents)
    halves = [
        LatentHistogram.with_edges(part, histogram.edges) for part in (latents[:9], latents[9:])
    ]
    assert np.array_equal(halves[0].merge(halves[1]).counts, histogram.counts)
    alone = histogram.weights(latents[-300:])
    expected = np.exp(np.log(alone.values) + alone.log_total - weights.log_total)
    assert weights.values[-300:] == pytest.approx(expected, rel=1e-12)
    latents[260_000, 5] = np.nan
    with pytest.raises(InvalidInput, match="NaN") as refusal:
        LatentHistogram.with_edges(latents, histogram.edges)
    assert refusal.value.index == 260_000


def hard_by_loop(logits: Float64, bins: int, smoothing: float) -> Float64:
    counts, edges = np.histogram(logits, bins=bins)
    scores = []
    for logit in logits:
        harder = 0.0
        for number in range(bins):
            low, high = edges[number], edges[number + 1]
            harder += counts[number] * min(max((logit - low) / (high - low), 0.0), 1.0)
        share = (harder + 0.5) / (len(logits) + 1)
        scores.append((-np.log((share + smoothing) / (1 + smoothing))) ** 1.6)
    found = np.array(scores, np.float64)
    found /= found.sum()
    return found


@pytest.mark.parametrize("bins", [2, 10, 37])
@pytest.mark.parametrize("smoothing", [0.001, 0.1, 3.0])
def test_the_hard_rule_equals_the_plain_loop(bins: int, smoothing: float) -> None:
    logits = latents_of(500, 1)
    weights = LatentHistogram.from_latents(logits, bins).weights(
        logits, "hard", smoothing=smoothing
    )
    assert np.abs(weights.values - hard_by_loop(logits[:, 0], bins, smoothing)).max() < 1e-12


@pytest.mark.parametrize("power", [1, 30, -30])
def test_the_hard_rule_keeps_a_quarter_of_the_items_whatever_the_logits(power: int) -> None:
    logits = np.random.default_rng(0).uniform(1, 2, size=(20_000, 1)) ** power
    values = weigh(logits, rule="hard")[1].values
    assert 0.25 < effective_sample_size(values) / 20_000 < 0.29
    order = np.argsort(logits[:, 0])
    assert (np.diff(values[order]) <= 0).all()
    assert values.max() < 30 / 20_000


@pytest.mark.parametrize("logits", [[3.0], [1, 1, 1], [0, 1], [0, 0, 0, 7], [1e30, -1e30, 0]])
def test_the_hard_rule_takes_few_and_equal_and_far_logits(logits: list[float]) -> None:
    rows = np.array(logits, np.float64)[:, None]
    values = weigh(rows, rule="hard")[1].values
    assert np.isfinite(values).all()
    assert values[rows[:, 0] == rows.min()].min() == values.max()
    assert len(set(values)) == len(set(logits))


def test_the_hard_rule_reads_one_number_an_item() -> None:
    latents = latents_of(10, 2)
    with pytest.raises(InvalidInput, match="'hard' reads one logit an item, not 2 numbers"):
        LatentHistogram.from_latents(latents).weights(latents, "hard")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["lab", "paper", "hard"]),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.integers(1, 60),
    st.integers(1, 12),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(0, 2**32),
)
def test_scores_are_the_same_to_the_last_bit_whichever_items_come_together(
    rule: str, dtype: type, rows: int, size: int, cuts: list[int], seed: int
) -> None:
    drawn = latents_of(rows, 1 if rule == "hard" else size, seed)
    latents: NDArray[np.floating] = drawn.astype(dtype)
    histogram, _ = weigh(latents, rule=rule)
    parts = [part for part in np.split(latents, sorted(cuts)) if len(part)]
    scores = np.concatenate([histogram.log_scores(part, rule) for part in parts])
    assert np.array_equal(scores, histogram.log_scores(latents, rule))


@pytest.mark.parametrize("rule", ["lab", "paper"])
def test_few_items_score_as_among_many_to_the_last_bit(rule: str) -> None:
    latents = latents_of(5000, 30).astype(np.float32)  # four dimensions at a time, not two
    histogram = LatentHistogram.from_latents(latents)
    few = histogram.log_scores(latents[:9], rule)
    assert np.array_equal(few, histogram.log_scores(latents, rule)[:9])


@pytest.mark.parametrize(("rule", "size"), [("paper", 100), ("paper", 900), ("lab", 30)])
@pytest.mark.parametrize("share", [1e-3, 0.5, 0.999, 1.0])
def test_tempering_ends_within_a_billionth_above_the_least_effective_sample_size(
    rule: str, size: int, share: float
) -> None:
    latents = latents_of(2000, size)
    weights = LatentHistogram.from_latents(latents).weights(
        latents, rule, min_effective_sample_size=share
    )
    least = share * 2000
    assert weights.temper == 1 or least <= weights.effective_sample_size <= least * (1 + 1e-9)
    assert weights.effective_sample_size == pytest.approx(
        effective_sample_size(weights.values), rel=1e-12
    )


def test_bins_of_hard_are_quantiles_of_the_logits() -> None:
    logits = np.random.default_rng(4).normal(size=(5000, 1)).astype(np.float32)
    expected = np.quantile(logits.astype(np.float64), np.linspace(0, 1, 101))
    assert np.allclose(quantile_edges(logits, 100)[0], expected, rtol=0, atol=1e-14)
