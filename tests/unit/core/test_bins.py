"""Bins, packed bins and sums against what they are defined as."""

import math
from fractions import Fraction

import numpy as np
import pytest
from evenface_core.bins import BinFinder, NotFinite, block_rows, extremes
from evenface_core.blocks import Scratch
from evenface_core.exact_sum import exact_sum, value_of
from evenface_core.packing import Packing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Values = NDArray[np.floating]
Precision = type[np.float16] | type[np.float32] | type[np.float64]

PRECISIONS: list[Precision] = [np.float16, np.float32, np.float64]


def by_definition(values: Values, edges: Float64) -> NDArray[np.int64]:
    reached = values[:, :, None].astype(np.float64) >= edges[None, :, 1:-1]
    found: NDArray[np.int64] = reached.sum(axis=2)
    return found


def values_about(edges: Float64, rows: int, dtype: Precision, seed: int) -> Values:
    """Values on the edges, next to them, between and beyond them."""
    generator = np.random.default_rng(seed)
    size = len(edges)
    chosen = edges[np.arange(size), generator.integers(0, edges.shape[1], (rows, size))]
    spread = (edges[:, -1] - edges[:, 0]) * generator.choice([0, 1e-7, 0.1, 1], (rows, size))
    with np.errstate(over="ignore"):
        values = (chosen + spread * generator.standard_normal((rows, size))).astype(dtype)
        stepped = np.nextafter(values, dtype(generator.choice([-np.inf, np.inf])))
    chosen_values: Values = np.where(generator.random((rows, size)) < 0.3, stepped, values)
    return chosen_values


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PRECISIONS),
    st.integers(1, 300),
    st.integers(1, 9),
    st.integers(2, 300),
    st.floats(-50, 50),
    st.floats(1e-3, 100),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_bins_are_the_edges_reached_in_any_precision(
    dtype: Precision,
    rows: int,
    size: int,
    bins: int,
    start: float,
    width: float,
    even: bool,
    seed: int,
) -> None:
    edges = np.linspace(
        np.full(size, start), start + width * np.arange(1, size + 1), bins + 1, axis=1
    )
    if not even:
        generator = np.random.default_rng(seed)
        edges = start + width * np.cumsum(generator.uniform(0.01, 1, edges.shape), axis=1)
    values = values_about(edges, rows, dtype, seed)
    found = BinFinder(edges, values.dtype).find(values, Scratch())
    assert np.array_equal(found, by_definition(values, edges))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_blocks_that_are_wide_and_the_rows_left_over_are_found_alike(dtype: Precision) -> None:
    edges = np.linspace(np.full(100, -4.0), np.full(100, 4.0), 11, axis=1)
    values = values_about(edges, block_rows(100) + 7, dtype, 1)
    found = BinFinder(edges, values.dtype).find(values, Scratch())
    assert np.array_equal(found, by_definition(values, edges))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_zeros_of_either_sign_reach_an_edge_of_zero(dtype: Precision) -> None:
    edges = np.array([[-1.0, 0.0, 1.0]])
    values: Values = np.array([[-0.0], [0.0]], dtype)
    assert BinFinder(edges, values.dtype).find(values, Scratch()).tolist() == [[1], [1]]


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("bins", [10, 400])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_bin(dtype: Precision, bins: int, value: float) -> None:
    edges = np.linspace(np.full(2, -1.0), np.full(2, 1.0), bins + 1, axis=1)
    values: Values = np.zeros((50, 2), dtype)
    values[31, 1] = value
    with pytest.raises(NotFinite):
        BinFinder(edges, values.dtype).find(values, Scratch())


def test_numbers_in_another_byte_order_have_the_same_bins() -> None:
    edges = np.linspace(np.full(3, -2.0), np.full(3, 2.0), 11, axis=1)
    for dtype in PRECISIONS:
        values = values_about(edges, 40, dtype, 2)
        other = values.astype(values.dtype.newbyteorder(">"))
        found = BinFinder(edges, other.dtype).find(other, Scratch())
        assert np.array_equal(found, by_definition(values, edges))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (5000, 3), (2600, 100)])
def test_extremes_are_the_least_and_the_greatest(dtype: Precision, shape: tuple[int, int]) -> None:
    values: Values = np.random.default_rng(3).normal(size=shape).astype(dtype)
    low, high = extremes(values)
    assert np.array_equal(low, values.astype(np.float64).min(axis=0))
    assert np.array_equal(high, values.astype(np.float64).max(axis=0))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_extremes_show_what_is_not_finite(dtype: Precision) -> None:
    values: Values = np.zeros((9, 2), dtype)
    values[4], values[5, 1] = [np.nan, np.inf], -np.inf
    low, high = extremes(values)
    assert not np.isfinite(low).any() or not np.isfinite(high).any()


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(1, 11), st.integers(2, 20), st.integers(0, 2**32))
def test_what_packed_bins_find_does_not_depend_on_how_many_are_packed(
    rows: int, size: int, bins: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    found = generator.integers(0, bins, (rows, size)).astype(np.uint8)
    table = generator.normal(size=(size, bins))
    looked_up = table[np.arange(size), found]
    counts = [np.bincount(one, minlength=bins) for one in found.T]
    totals = []
    for levels in range(3):
        if bins**2**levels > 2**16:
            continue
        packing = Packing(size, bins, levels)
        packed = packing.room(rows)
        packing.pack(found, packed, Scratch())
        assert np.array_equal(packing.unpack(packing.count(packed)), counts)
        assert np.array_equal(packing.largest(packed, table), looked_up.max(axis=1))
        totals.append(packing.total(packed, table))
        assert np.abs(totals[-1] - looked_up.sum(axis=1)).max() < 1e-12
    assert all(np.array_equal(total, totals[0]) for total in totals)


numbers = st.lists(st.floats(0, 1) | st.floats(0, 1e-20) | st.just(1.0), max_size=200)


@given(numbers, st.integers(1, 9))
def test_exact_sums_do_not_depend_on_order_or_parts(values: list[float], parts: int) -> None:
    array = np.array(values, np.float64)
    whole = exact_sum(array)
    np.random.default_rng(0).shuffle(values)
    shuffled = np.array(values, np.float64)
    assert sum(exact_sum(part) for part in np.array_split(shuffled, parts)) == whole


@given(numbers)
def test_exact_sums_are_the_sums_but_for_what_lies_below_2_to_the_minus_90(
    values: list[float],
) -> None:
    true = sum(map(Fraction, values), Fraction())
    units = Fraction(exact_sum(np.array(values, np.float64)), 2**90)
    assert 0 <= true - units <= Fraction(len(values), 2**90)


def test_exact_sums_of_many_numbers_equal_fsum() -> None:
    values = np.random.default_rng(0).random(100_000)
    assert value_of(exact_sum(values)) == math.fsum(values)
