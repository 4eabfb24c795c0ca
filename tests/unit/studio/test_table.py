"""Filters, orders and sums of a data set's rows against plain Python."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from evenface_studio.dataset import table as tables
from evenface_studio.dataset.labels import LabelCoder
from evenface_studio.dataset.table import Filter, Table
from hypothesis import given
from hypothesis import strategies as st

Row = tuple[float | None, float | None, bool, str | None]

VALUES = ("a", "b", "c")
WEIGHTS = st.sampled_from([0.0, 0.25, 1.0, 3.0]) | st.floats(0, 1e6, allow_subnormal=False)
ROWS = st.lists(
    st.tuples(
        st.none() | WEIGHTS,
        st.none() | st.floats(0, 1, width=32),
        st.booleans(),
        st.none() | st.sampled_from(VALUES),
    ),
    max_size=40,
)


def table_of(rows: list[Row]) -> Table:
    coder = LabelCoder(len(rows))
    coder.put(0, pa.array([row[3] for row in rows], pa.string()))
    labels = coder.labels()
    return Table(
        np.array([math.nan if w is None else w for w, *_ in rows], np.float64),
        np.array([math.nan if p is None else p for _, p, *_ in rows], np.float32),
        np.array([row[2] for row in rows], np.bool_),
        {} if labels is None else {"tone": labels},
    )


def is_chosen(row: Row, wanted: Filter, least: float, greatest: float) -> bool:
    weight, probability, failed, label = row
    low, high = (float(np.float32(end)) for end in wanted.probability)
    return all(
        (
            {"hide": not failed, "only": failed, "show": True}[wanted.errors],
            wanted.probability == (0.0, 1.0)
            or (probability is not None and low <= probability <= high),
            wanted.quantile == (0.0, 1.0) or (weight is not None and least <= weight <= greatest),
            not wanted.labels or label == wanted.labels[0][1],
        )
    )


FILTERS = st.builds(
    Filter,
    st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)) | st.just((0.0, 1.0)),
    st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)) | st.just((0.0, 1.0)),
    st.sampled_from(["hide", "only", "show"]),
    st.just(()) | st.sampled_from(VALUES).map(lambda value: (("tone", value),)),
)


@given(ROWS, FILTERS)
def test_a_filter_lets_through_what_plain_python_would(rows: list[Row], wanted: Filter) -> None:
    weights = sorted(row[0] for row in rows if row[0] is not None)
    least, greatest = (
        np.quantile(weights, wanted.quantile, method="nearest") if weights else (1.0, 0.0)
    )
    expected = [is_chosen(row, wanted, least, greatest) for row in rows]
    found = table_of(rows)
    if wanted.labels and "tone" not in found.labels and any(expected):
        return  # all rows have the same label, which is no column
    assert tables.chosen(found, wanted).tolist() == expected


@given(ROWS, st.sampled_from(["rarest", "commonest", "unlikeliest", "given"]))
def test_rows_are_in_order_those_without_a_value_last_and_equal_ones_as_given(
    rows: list[Row], order: tables.Order
) -> None:
    key: dict[str, Callable[[int], Any]] = {
        "rarest": lambda at: (rows[at][0] is None, -(rows[at][0] or 0), at),
        "commonest": lambda at: (rows[at][0] is None, rows[at][0] or 0, at),
        "unlikeliest": lambda at: (rows[at][1] is None, rows[at][1] or 0, at),
        "given": lambda at: at,
    }
    mask = np.array([row[3] != "b" for row in rows], np.bool_)
    expected = sorted(np.flatnonzero(mask).tolist(), key=key[order])
    assert tables.ordered(table_of(rows), mask, order).tolist() == expected


@given(ROWS)
def test_sums_are_those_of_plain_python(rows: list[Row]) -> None:
    found = table_of(rows)
    mask = np.array([not row[2] for row in rows], np.bool_)
    summary = tables.summarise(found, mask)
    weights = [row[0] for row in rows if not row[2] and row[0] is not None]
    total = math.fsum(weights)
    everything = math.fsum(row[0] for row in rows if row[0] is not None)
    assert (summary.rows, summary.failed, summary.weighted) == (sum(mask), 0, len(weights))
    assert sum(summary.probabilities) == sum(row[1] is not None and not row[2] for row in rows)
    if total == 0:
        assert summary.effective is summary.of_weight is summary.top is None
        return
    largest = max(weights)
    relative = [weight / largest for weight in weights]
    effective = math.fsum(relative) ** 2 / math.fsum(weight**2 for weight in relative)
    assert summary.effective == pytest.approx(effective)
    assert summary.of_weight == pytest.approx(total / everything)
    assert summary.top == pytest.approx(largest / total)  # a hundredth of so few is one
    assert sum(summary.weights) == len(weights)


@given(ROWS)
def test_each_label_has_its_share_of_rows_and_weight(rows: list[Row]) -> None:
    found = table_of(rows)
    if "tone" not in found.labels:
        return
    mask = np.ones(len(rows), np.bool_)
    weighted = [row for row in rows if row[0] is not None]
    total = math.fsum(row[0] or 0 for row in weighted)
    for share in tables.shares(found, mask, "tone"):
        counted = weighted if total else rows
        own = [row for row in counted if row[3] == share.value]
        assert share.rows == len(own)
        assert share.of_rows == pytest.approx(len(own) / max(1, len(counted)))
        if total:
            assert share.of_weight == pytest.approx(math.fsum(row[0] or 0 for row in own) / total)
        else:
            assert share.of_weight is None


def test_weights_too_small_to_square_have_an_effective_sample_size() -> None:
    assert tables.effective_sample_size(np.array([1e-300, 1e-300])) == 2


def test_weights_too_small_to_average_have_no_multiples() -> None:
    found = table_of([(0.0, None, False, None), (5e-324, None, False, None)])
    assert tables.average_weight(found) is None
    assert tables.summarise(found, np.ones(2, np.bool_)).weights == []


def test_a_column_of_many_different_values_is_no_label() -> None:
    coder = LabelCoder(200)
    coder.put(0, pa.array(map(str, range(200))))
    assert coder.labels() is None


def test_labels_that_are_numbers_are_in_the_order_of_numbers() -> None:
    coder = LabelCoder(4)
    coder.put(0, pa.array(["10", "9", None, "x"]))
    labels = coder.labels()
    assert labels is not None
    assert labels.values == ("9", "10", "x")
    assert labels.codes.tolist() == [1, 0, -1, 2]


def test_an_empty_label_is_none_and_parts_share_their_numbers() -> None:
    coder = LabelCoder(6)
    coder.put(0, pa.array(["b", "", "a"]))
    coder.put(3, pa.array(["a", None, "c"]))
    labels = coder.labels()
    assert labels is not None
    assert labels.values == ("a", "b", "c")
    assert labels.codes.tolist() == [1, -1, 0, 0, -1, 2]
