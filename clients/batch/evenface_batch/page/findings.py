"""What the parts of a job say, found in a few passes, a part in memory at a time."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evenface_batch.output import Output
from evenface_batch.parts import Table

Float64 = NDArray[np.float64]

SHOWN = 24  # faces at each end
MEASURED = 2**20  # rows, about, from which latents are measured
_BINS = 40
_PROBABILITY_BINS = 20
_SPREAD = 4.0  # standard deviations of the widest dimension to each side


@dataclass(frozen=True, order=True)
class Spot:
    """An item of which there is something to say.

    Attributes:
        weight: Its weight.
        part: Number of its part, and so of its chunk.
        row: Its place there.
    """

    weight: float
    part: int
    row: int


@dataclass(frozen=True)
class Kind:
    """Errors of one kind.

    Attributes:
        name: The kind.
        count: How many items.
        item: One of them.
        example: Its error.
    """

    name: str
    count: int
    item: str
    example: str


@dataclass(frozen=True)
class Weighted:
    """What the weights say.

    Attributes:
        rows: Items that have one.
        effective: Effective sample size, (Σ w)² / Σ w² (Kish 1965).
        average: Of the weights.
        rarest: The greatest, first.
        commonest: The least, first.
        ids: Of these.
    """

    rows: int
    effective: float
    average: float
    rarest: Sequence[Spot] = field(repr=False)
    commonest: Sequence[Spot] = field(repr=False)
    ids: Mapping[Spot, str] = field(repr=False)


@dataclass(frozen=True)
class Dimension:
    """A dimension of the latents.

    Attributes:
        number: From 0.
        mean: Over the rows.
        deviation: Standard deviation over the rows.
        counts: Of a histogram from `Latents.low` to `Latents.high`.
    """

    number: int
    mean: float
    deviation: float
    counts: Sequence[int] = field(repr=False)


@dataclass(frozen=True)
class Latents:
    """The means of the rows.

    Attributes:
        rows: How many were measured.
        low: Where the histograms begin; what is below is in the first bin.
        high: Where they end; what is beyond is in the last bin.
        dimensions: The widest first.
    """

    rows: int
    low: float
    high: float
    dimensions: Sequence[Dimension]


@dataclass(frozen=True)
class Findings:
    """What there is to show.

    Attributes:
        rows: Items.
        failed: Those of them with an error.
        errors: The commonest first.
        probabilities: Of "face", counts between 0 and 1; None where the model does not classify.
        faces: Items whose probability is at least 0.5.
        latents: None where no item has any.
        weighted: None where there are no weights yet.
    """

    rows: int
    failed: int
    errors: Sequence[Kind]
    probabilities: Sequence[int] | None
    faces: int
    latents: Latents | None
    weighted: Weighted | None


def find(output: Output) -> Findings:
    """Read the parts; the means of so many of them, evenly spread, as hold a million rows.

    Raises:
        JobError: A part cannot be read.
    """
    parts = output.parts()
    gathered = _Gathered()
    for part in parts:
        gathered.add(part, output.read(part, ["probability", "weight", "error"]))
    every = max(1, gathered.rows // MEASURED)
    return gathered.findings(output, _latents(output, parts[::every]))


class _Gathered:
    """What adds up over parts."""

    def __init__(self) -> None:
        self.rows = self._faces = self._weighted = 0
        self._sum = self._squares = 0.0
        self._probabilities = np.zeros(_PROBABILITY_BINS, np.int64)
        self._kinds: Counter[str] = Counter()
        self._examples: dict[str, tuple[int, int, str]] = {}
        self._rarest: list[Spot] = []
        self._commonest: list[Spot] = []

    def add(self, part: int, table: Table) -> None:
        self.rows += len(table)
        self._add_errors(part, table)
        probabilities = _numbers(table, "probability")
        known = probabilities[np.isfinite(probabilities)]
        self._probabilities += np.histogram(known, _PROBABILITY_BINS, (0, 1))[0]
        self._faces += int((known >= 0.5).sum())  # noqa: PLR2004
        self._add_weights(part, table)

    def _add_errors(self, part: int, table: Table) -> None:
        errors = table.column("error")
        if errors.null_count == len(errors):
            return
        for row, error in enumerate(errors.to_pylist()):
            if error is not None:
                kind = kind_of(error)
                self._kinds[kind] += 1
                self._examples.setdefault(kind, (part, row, error))

    def _add_weights(self, part: int, table: Table) -> None:
        weights = _numbers(table, "weight")
        rows = np.flatnonzero(np.isfinite(weights))
        known = weights[rows]
        self._weighted += len(rows)
        self._sum += float(known.sum())
        self._squares += float(np.square(known).sum())
        order = rows[np.argsort(known, kind="stable")]
        least, most = (
            [Spot(float(weights[row]), part, int(row)) for row in some]
            for some in (order[:SHOWN], order[::-1][:SHOWN])
        )
        self._rarest = heapq.nlargest(SHOWN, self._rarest + most)
        self._commonest = heapq.nsmallest(SHOWN, self._commonest + least)

    def findings(self, output: Output, latents: Latents | None) -> Findings:
        return Findings(
            rows=self.rows,
            failed=self._kinds.total(),
            errors=[self._kind(output, *counted) for counted in self._kinds.most_common()],
            probabilities=self._probabilities.tolist() if self._probabilities.any() else None,
            faces=self._faces,
            latents=latents,
            weighted=self._weights(output) if self._squares else None,
        )

    def _kind(self, output: Output, name: str, count: int) -> Kind:
        part, row, error = self._examples[name]
        return Kind(name, count, _id(output, part, row), error)

    def _weights(self, output: Output) -> Weighted:
        spots = [*self._rarest, *self._commonest]
        return Weighted(
            rows=self._weighted,
            effective=self._sum**2 / self._squares,
            average=self._sum / self._weighted,
            rarest=self._rarest,
            commonest=self._commonest,
            ids={spot: _id(output, spot.part, spot.row) for spot in spots},
        )


def _id(output: Output, part: int, row: int) -> str:
    return str(output.read(part, ["id"]).column("id")[row].as_py())


def kind_of(error: str) -> str:
    """The kind of an error: what stands before its first colon or bracket."""
    return error.partition(":")[0].partition(" (")[0]


def _latents(output: Output, parts: Sequence[int]) -> Latents | None:
    rows, total, squares = 0, np.zeros(()), np.zeros(())
    for means in _means(output, parts):
        rows += len(means)
        total = total + means.sum(axis=0)
        squares = squares + np.square(means).sum(axis=0)
    if not rows:
        return None
    mean = total / rows
    deviation = np.sqrt(np.maximum(squares / rows - mean**2, 0))
    low = float((mean - _SPREAD * deviation).min())
    high = max(float((mean + _SPREAD * deviation).max()), low + 1e-6)
    size = len(mean)
    counts = np.zeros(size * _BINS, np.int64)
    for means in _means(output, parts):
        places = ((means - low) * (_BINS / (high - low))).astype(np.int64).clip(0, _BINS - 1)
        places += np.arange(size) * _BINS
        counts += np.bincount(places.ravel(), minlength=size * _BINS)
    by_dimension = counts.reshape(size, _BINS)
    return Latents(rows, low, high, [
        Dimension(int(n), float(mean[n]), float(deviation[n]), by_dimension[n].tolist())
        for n in np.argsort(-deviation, kind="stable")
    ])  # fmt: skip


def _means(output: Output, parts: Sequence[int]) -> Iterator[Float64]:
    size = output.form.latent_size
    for part in parts:
        column = output.read(part, ["mean"]).column("mean").drop_null().combine_chunks()
        if len(column):
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            yield numbers.reshape(-1, size).astype(np.float64)


def _numbers(table: Table, name: str) -> Float64:
    """A column, with NaN for null."""
    column = table.column(name).cast("float64").to_numpy()
    return np.asarray(column, np.float64)
