"""Resampling weights of all rows of a job, as one machine would compute them, to the last bit.

Passes over the parts, each by many processes, each giving something that adds up exactly:

    edges      the least and greatest value of each dimension, or quantiles of the logits
    counts     a histogram between these edges
    scores     of each row, kept beside the parts, with the greatest and the least
    sums       Σ w and Σ w², exact whatever the order; again for each exponent that tempering tries
    weights    into the parts

What a pass has found is kept, so that a job that was killed goes on with the pass that it was in.
"""

import hashlib
import json
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial, reduce
from typing import TypeVar

import numpy as np
from evenface_core.binning import edges_between
from evenface_core.errors import InvalidInput, JobError
from evenface_core.quantiles import edges_at, ranks
from evenface_core.resampling import (
    DEFAULT_RULE,
    DEFAULT_SMOOTHING,
    LatentHistogram,
    check_options,
)
from evenface_core.rules import RULES
from evenface_core.weights import Sums, require_finite_scores, tempered_sums
from numpy.typing import NDArray

from evenface_batch import weighting_passes as passes
from evenface_batch.weighting_passes import Population, Scale
from evenface_batch.weighting_pool import Pool
from evenface_batch.weighting_quantiles import ALL, Digits, smallest
from evenface_batch.weighting_state import State
from evenface_batch.weighting_store import Found, Reading, Store, Unit

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
T = TypeVar("T")


class NothingToWeight(JobError):
    """No row of a job can be weighted."""


@dataclass(frozen=True)
class Weighting:
    """How to weight.

    Attributes:
        rule: A name in `evenface_core.rules.RULES`.
        bins: B, 2 to 1000; None is the rule's own.
        smoothing: Added to the density, above 0.
        min_effective_sample_size: Share of the weighted rows, 0 to 1, that tempering must reach.
        min_face_probability: Rows that are less likely a face are left out, 0 to 1.
        histogram: Of a population to judge rarity by; None is the job's own.

    Raises:
        InvalidInput: Names the first value that cannot be used.
    """

    rule: str = DEFAULT_RULE
    bins: int | None = None
    smoothing: float = DEFAULT_SMOOTHING
    min_effective_sample_size: float = 0.0
    min_face_probability: float = 0.0
    histogram: LatentHistogram | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_options(
            bins=self.bins,
            rule=self.rule,
            smoothing=self.smoothing,
            min_effective_sample_size=self.min_effective_sample_size,
        )
        least = self.min_face_probability
        if not 0 <= least <= 1:
            raise InvalidInput("min_face_probability", f"{least} is outside 0 to 1", value=least)

    @property
    def reading(self) -> Reading:
        """What is read of the rows."""
        return Reading(RULES[self.rule].reads, self.min_face_probability)


@dataclass(frozen=True)
class Summary:
    """What came of it.

    Attributes:
        mark: Names this weighting, in the footer of each part.
        rows: How many there are.
        weighted: Those that have a weight.
        failed: Those with an error.
        non_faces: Those left out because they are likely no faces.
        unsure: Those weighted, but less likely a face than not.
        rule: Name of the rule.
        log_total: Logarithm of the sum of the scores before they were normalised.
        temper: The exponent t of w^t; 1 where nothing was tempered.
        effective_sample_size: (Σ w)² / Σ w², between 1 and `weighted`.
        histogram: By which rarity was judged.
    """

    mark: str
    rows: int
    weighted: int
    failed: int
    non_faces: int
    unsure: int
    rule: str
    log_total: float
    temper: float
    effective_sample_size: float
    histogram: LatentHistogram


def weigh(store: Store, weighting: Weighting, *, workers: int = 1) -> Summary:
    """Weight all rows, and write the weights. What an earlier, killed run has done is not repeated.

    The weights are those that `evenface_core.resampling.weigh` gives for all weighted rows, as
    they are stored, in one array: the same numbers to the last bit, on processors of one kind.

    Args:
        store: The rows.
        weighting: How.
        workers: Processes.

    Raises:
        InvalidInput: The histogram does not fit the rows, or its numbers are too extreme.
        NothingToWeight: No row can be weighted.
        JobError: A part or what has been found cannot be read or written.
    """
    with Pool.of(workers) as pool:
        return weigh_on(pool, store, weighting)


def weigh_on(pool: Pool, store: Store, weighting: Weighting) -> Summary:
    """As `weigh`, on processes that are there."""
    plan = _plan(store, weighting)
    state = State.begin(store.folder, plan)
    return _Passes(store, store.units(), weighting, state, pool, plan).run()


@dataclass(frozen=True)
class _Passes:
    store: Store
    units: list[Unit]
    weighting: Weighting
    state: State
    pool: Pool
    plan: str

    def run(self) -> Summary:
        histogram = self.weighting.histogram or self.state.histogram or self._histogram()
        found = self.state.found or self._scores(histogram)
        if not found.weighted:
            raise self._nothing()
        require_finite_scores(found.greatest, found.least)
        plain = self._sums(found.greatest, 1.0)
        exponent, tempered = tempered_sums(
            lambda exponent: self._sums(found.greatest, exponent),
            plain,
            found.weighted,
            self.weighting.min_effective_sample_size * found.weighted,
        )
        scale = Scale(found.greatest, exponent, tempered.total)
        mark = _mark(self.plan, histogram, scale)
        work = partial(passes.write, self.store, self.weighting.reading, scale, mark)
        for _ in self._results(work, "weights"):
            pass
        self.state.end()
        return Summary(
            mark,
            found.rows,
            found.weighted,
            found.failed,
            found.non_faces,
            found.unsure,
            self.weighting.rule,
            found.greatest + math.log(plain.total),
            exponent,
            tempered.effective_sample_size,
            histogram,
        )

    def _histogram(self) -> LatentHistogram:
        """Count all rows between edges of their own."""
        edges = self.state.edges
        if edges is None:
            edges = self._edges()
            self.state.keep_edges(edges)
        work = partial(passes.count_bins, self.store, self.weighting.reading, edges)
        counts = np.zeros((len(edges), edges.shape[1] - 1), np.int64)
        for part in self._results(work, "counts"):
            counts += part
        histogram = LatentHistogram(edges, counts)
        self.state.keep_histogram(histogram)
        return histogram

    def _edges(self) -> Float64:
        rule = RULES[self.weighting.rule]
        bins = self.weighting.bins or rule.bins
        return self._equal_edges(bins) if rule.spacing == "equal" else self._quantiles(bins)

    def _equal_edges(self, bins: int) -> Float64:
        work = partial(passes.find_bounds, self.store, self.weighting.reading)
        found = [bounds for bounds in self._results(work, "edges") if bounds is not None]
        if not found:
            raise self._nothing()
        bounds = reduce(operator.add, found)
        return edges_between(bounds.low, bounds.high, bins)

    def _quantiles(self, bins: int) -> Float64:
        def count(digits: Digits) -> Int64:
            work = partial(passes.count_digits, self.store, self.weighting.reading, digits)
            return sum(self._results(work, "edges"), start=digits.none())

        total = int(count(ALL).sum())
        if not total:
            raise self._nothing()
        found = smallest(count, ranks(total, bins)).astype(np.float64)
        return edges_at(found, total)

    def _scores(self, histogram: LatentHistogram) -> Found:
        population = Population(histogram, self.weighting.rule, self.weighting.smoothing)
        work = partial(passes.score, self.store, self.weighting.reading, population)
        found = sum(self._results(work, "scores"), start=Found())
        self.state.keep_found(found)
        return found

    def _sums(self, peak: float, exponent: float) -> Sums:
        work = partial(passes.add_up, self.store, Scale(peak, exponent))
        return sum(self._results(work, "sums"), start=Sums())

    def _results(self, work: Callable[[Unit], T], title: str) -> Iterator[T]:
        return self.pool.run(work, self.units, title)

    def _nothing(self) -> NothingToWeight:
        least = self.weighting.min_face_probability
        about = f" and a face probability of at least {least:g}" if least else ""
        wanted = "mean" if self.weighting.reading.reads == "latents" else "logit"
        return NothingToWeight(
            f"{self.store.folder.url}: no row has a {wanted}{about}, so there is nothing to weight"
        )


def _mark(plan: str, histogram: LatentHistogram, scale: Scale) -> str:
    """Another wherever a row's weight could be another."""
    numbers = _bytes_of(histogram) + repr(scale).encode()
    return hashlib.sha256(plan.encode() + numbers).hexdigest()


def _plan(store: Store, weighting: Weighting) -> str:
    """What a weighting depends on, as text."""
    facts = asdict(replace(weighting, histogram=None))
    if weighting.histogram is not None:
        facts["histogram"] = hashlib.sha256(_bytes_of(weighting.histogram)).hexdigest()
    return json.dumps({"rows": store.identity, **facts}, sort_keys=True)


def _bytes_of(histogram: LatentHistogram) -> bytes:
    return histogram.edges.tobytes() + histogram.counts.tobytes()
