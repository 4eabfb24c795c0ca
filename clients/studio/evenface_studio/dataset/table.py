"""What is known of a data set's rows: a few numbers of each, in memory, to filter, sort and sum.

A million rows take some 13 MB, and 2 MB for each label column; ids stay where they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Codes = NDArray[np.int16]
Places = NDArray[np.int64]

Order = Literal["rarest", "commonest", "unlikeliest", "given"]
Errors = Literal["hide", "only", "show"]

WEIGHT_BINS = 40
PROBABILITY_BINS = 20
NO_LABEL = -1


@dataclass(frozen=True)
class Labels:
    """A label column.

    Attributes:
        values: The different ones, in order.
        codes: int16 [N], place in `values`; -1 for a row without.
    """

    values: tuple[str, ...]
    codes: Codes = field(repr=False)


@dataclass(frozen=True)
class Table:
    """The rows of a data set.

    Attributes:
        weights: float64 [N]; NaN for a row that has none.
        probabilities: float32 [N], of "face"; NaN where it is not known.
        failed: bool [N], rows with an error.
        labels: By column.
    """

    weights: Float64 = field(repr=False)
    probabilities: Float32 = field(repr=False)
    failed: Bools = field(repr=False)
    labels: Mapping[str, Labels] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.failed)


@dataclass(frozen=True)
class Filter:
    """Which rows are looked at. Text is not among it, as ids are not in memory.

    Attributes:
        probability: Least and greatest, 0 to 1; the whole range takes in rows without one.
        quantile: Of the weights of all rows, least and greatest, 0 to 1; the whole range takes in
            rows without a weight.
        errors: Whether rows with an error are left out, alone there, or there with the others.
        labels: Value by column.
    """

    probability: tuple[float, float] = (0.0, 1.0)
    quantile: tuple[float, float] = (0.0, 1.0)
    errors: Errors = "hide"
    labels: tuple[tuple[str, str], ...] = ()


def chosen(table: Table, wanted: Filter) -> Bools:
    """Say which rows a filter lets through.

    Args:
        table: N rows.
        wanted: Columns and values that the table lacks let nothing through.

    Returns:
        bool [N].
    """
    mask = {"hide": ~table.failed, "only": table.failed.copy()}.get(
        wanted.errors, np.ones(len(table), np.bool_)
    )
    if wanted.probability != (0.0, 1.0):
        low, high = np.float32(wanted.probability[0]), np.float32(wanted.probability[1])
        mask &= (table.probabilities >= low) & (table.probabilities <= high)
    if wanted.quantile != (0.0, 1.0):
        mask &= _between_quantiles(table.weights, *wanted.quantile)
    for column, value in wanted.labels:
        mask &= _labelled(table, column, value)
    return mask


def _between_quantiles(weights: Float64, low: float, high: float) -> Bools:
    known = weights[~np.isnan(weights)]
    if not len(known):
        return np.zeros(len(weights), np.bool_)
    least, greatest = np.quantile(known, (low, high), method="nearest")
    found: Bools = (weights >= least) & (weights <= greatest)
    return found


def _labelled(table: Table, column: str, value: str) -> Bools:
    labels = table.labels.get(column)
    if labels is None or value not in labels.values:
        return np.zeros(len(table), np.bool_)
    found: Bools = labels.codes == labels.values.index(value)
    return found


def ordered(table: Table, mask: Bools, order: Order) -> Places:
    """Put the chosen rows in order; equal ones stay as they are given, those without come last.

    Args:
        table: N rows.
        mask: bool [N].
        order: By weight, by probability, or as they are given.

    Returns:
        int64 [number chosen], places in the table.
    """
    rows = np.flatnonzero(mask)
    if order == "given":
        return rows
    if order == "unlikeliest":
        keys: NDArray[np.floating] = table.probabilities[rows]
    else:
        keys = table.weights[rows] * (-1.0 if order == "rarest" else 1.0)
    found: Places = rows[np.argsort(keys, kind="stable")]  # NaN goes to the end
    return found


@dataclass(frozen=True)
class Share:
    """What the rows with one label have.

    Attributes:
        value: The label.
        rows: How many have it, of those chosen.
        of_rows: Their share of the chosen rows that have a weight.
        of_weight: Their share of the chosen rows' weight; None without weights.
    """

    value: str
    rows: int
    of_rows: float
    of_weight: float | None


@dataclass(frozen=True)
class Summary:
    """What the chosen rows say.

    Attributes:
        rows: How many.
        failed: Those with an error.
        weighted: Those with a weight.
        effective: Effective sample size, (Σw)² / Σw² (Kish 1965); None where no weight is above 0.
        of_weight: Their share of the weight of all rows; None as above.
        top: Share of their weight that their rarest hundredth has; None as above.
        weights: int [40], by multiple of the average of all weights, on a logarithmic scale.
        probabilities: int [20] between 0 and 1.
    """

    rows: int
    failed: int
    weighted: int
    effective: float | None
    of_weight: float | None
    top: float | None
    weights: Sequence[int] = field(repr=False)
    probabilities: Sequence[int] = field(repr=False)


def average_weight(table: Table) -> float | None:
    """The mean of the weights of all rows; None where it is not above 0."""
    known = table.weights[~np.isnan(table.weights)]
    return (float(known.mean()) if len(known) else 0.0) or None


def weight_edges(table: Table) -> Float64:
    """Where the bins of the weights begin and end: multiples of the average, [41] or none.

    Weights of 0 count in the first bin.
    """
    average = average_weight(table)
    if average is None:
        return np.empty(0)
    above = table.weights[table.weights > 0]
    low, high = float(above.min()) / average, float(above.max()) / average
    if not 0 < low < high:
        low, high = 0.5, 2.0
    edges: Float64 = np.geomspace(low, high, WEIGHT_BINS + 1)
    return edges


def summarise(table: Table, mask: Bools) -> Summary:
    """Sum up the chosen rows.

    Args:
        table: N rows.
        mask: bool [N].
    """
    weights = table.weights[mask]
    weights = weights[~np.isnan(weights)]
    everything = float(np.nansum(table.weights)) if len(table) else 0.0
    total = float(weights.sum())
    known = table.probabilities[mask]
    return Summary(
        rows=int(mask.sum()),
        failed=int((table.failed & mask).sum()),
        weighted=len(weights),
        effective=effective_sample_size(weights) if total else None,
        of_weight=total / everything if total else None,
        top=_top(weights, total) if total else None,
        weights=_weight_counts(table, weights),
        probabilities=np.histogram(
            known[~np.isnan(known)], PROBABILITY_BINS, (0.0, 1.0)
        )[0].tolist(),
    )  # fmt: skip


def effective_sample_size(weights: Float64) -> float:
    """(Σw)² / Σw² of weights of which one is above 0."""
    relative = weights / weights.max()  # so that squares of small ones do not vanish
    return float(relative.sum() ** 2 / np.square(relative).sum())


def _top(weights: Float64, total: float) -> float:
    count = max(1, len(weights) // 100)
    return float(np.partition(weights, len(weights) - count)[-count:].sum() / total)


def _weight_counts(table: Table, weights: Float64) -> list[int]:
    edges, average = weight_edges(table), average_weight(table)
    if average is None:
        return []
    places = np.searchsorted(edges[1:-1], weights / average, side="right")
    counts: list[int] = np.bincount(places, minlength=WEIGHT_BINS).tolist()
    return counts


def shares(table: Table, mask: Bools, column: str) -> list[Share]:
    """What each label of a column has of the chosen rows and of their weight.

    Only rows with a weight count where there are weights, so that the two can be compared. Rows
    without a label are in the whole and have no line.

    Args:
        table: N rows.
        mask: bool [N].
        column: One of its columns.
    """
    labels = table.labels[column]
    has_weights = bool(np.nansum(table.weights[mask]))
    counted = mask & ~np.isnan(table.weights) if has_weights else mask
    codes = labels.codes[counted]
    known, size = codes != NO_LABEL, len(labels.values)
    rows = np.bincount(codes[known], minlength=size)
    whole = max(1, len(codes))
    if not has_weights:
        return [
            Share(value, int(n), int(n) / whole, None)
            for value, n in zip(labels.values, rows, strict=True)
        ]
    weights = table.weights[counted]
    sums = np.bincount(codes[known], weights[known], minlength=size) / weights.sum()
    return [
        Share(value, int(n), int(n) / whole, float(part))
        for value, n, part in zip(labels.values, rows, sums, strict=True)
    ]
