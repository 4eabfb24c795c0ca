"""What a process does with a unit of rows in each pass; what it gives adds up over the units."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from evenface_core.binning import Binning
from evenface_core.bins import extremes
from evenface_core.errors import InvalidInput, JobError
from evenface_core.resampling import LatentHistogram
from evenface_core.weights import Sums, relative
from numpy.typing import NDArray

from evenface_batch.weighting_quantiles import Digits
from evenface_batch.weighting_state import read_scores, write_scores
from evenface_batch.weighting_store import Block, Found, Reading, Store, Unit

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value of each dimension, float64 [D], of so many rows."""

    low: Float64
    high: Float64
    count: int

    def __add__(self, other: "Bounds") -> "Bounds":
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Bounds(low, high, self.count + other.count)


@dataclass(frozen=True)
class Population:
    """What rarity is judged by."""

    histogram: LatentHistogram
    rule: str
    smoothing: float


@dataclass(frozen=True)
class Scale:
    """How scores become weights: exp((score - peak) · exponent) / total."""

    peak: float
    exponent: float
    total: float = 1.0


def find_bounds(store: Store, reading: Reading, unit: Unit) -> Bounds | None:
    """First look at latents; None where no row of the unit is weighted."""
    found: Bounds | None = None
    for block in _blocks(store, reading, unit):
        bounds = Bounds(*extremes(block.values), len(block.values))
        found = bounds if found is None else found + bounds
    return found


def count_digits(store: Store, reading: Reading, digits: Digits, unit: Unit) -> Int64:
    """Count some of the bits of logits."""
    counts = digits.none()
    for block in _blocks(store, reading, unit):
        counts += digits.count(block.values[:, 0])
    return counts


def count_bins(store: Store, reading: Reading, edges: Float64, unit: Unit) -> Int64:
    """Count rows between edges, int64 [D, B]."""
    counts = np.zeros((len(edges), edges.shape[1] - 1), np.int64)
    for block in _blocks(store, reading, unit):
        counts += Binning(edges, block.values).counts()
    return counts


def score(store: Store, reading: Reading, population: Population, unit: Unit) -> Found:
    """Score rows, and keep their scores."""
    found, scores = Found(), [np.empty(0)]
    for block in store.blocks(unit, reading):
        found += block.found
        if len(block.values):
            of_block = population.histogram.log_scores(
                block.values, population.rule, smoothing=population.smoothing
            )
            found += Found(greatest=float(of_block.max()), least=float(of_block.min()))
            scores.append(of_block)
    write_scores(store.folder, unit, np.concatenate(scores))
    return found


def add_up(store: Store, scale: Scale, unit: Unit) -> Sums:
    """Add up scored rows to a power."""
    return Sums.of(read_scores(store.folder, unit), scale.peak, scale.exponent)


def write(store: Store, reading: Reading, scale: Scale, mark: str, unit: Unit) -> None:
    """Give rows their weights."""
    weights = relative(read_scores(store.folder, unit), scale.peak, scale.exponent)
    weights /= scale.total
    store.write(unit, reading, weights, mark)


def _blocks(store: Store, reading: Reading, unit: Unit) -> Iterator[Block]:
    """Those in which there is anything to weight."""
    try:
        yield from (block for block in store.blocks(unit, reading) if len(block.values))
    except InvalidInput as error:
        raise JobError(f"parts {unit[0]} to {unit[-1]}: {error}") from error
