"""Which bin each value lies in: the part of resampling that looks at every single value.

Written so that a block of rows stays in a core's cache and numpy's inner loops are long ones.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Bins = NDArray[np.uint8] | NDArray[np.uint16]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

T = TypeVar("T")

_BYTE = 2**8
_LONG = 2**12  # values that are compared at least in one go
_BLOCK = 2**18  # values; as float32 they fill half of a core's second cache
_BULK = 2**24  # values from which on threads pay; a request to a server has fewer


class BinFinder:
    """Finds bins by comparing all dimensions with one edge after the other.

    Args:
        edges: float64 [D, B + 1], increasing; the outer ones are open.
        dtype: Precision of the values to come. They are compared as they are: at least an edge is
            what is at least the next value of that precision.
    """

    def __init__(self, edges: Float64, dtype: np.dtype[np.floating]) -> None:
        inner = np.ascontiguousarray(edges.T[1:-1])
        with np.errstate(over="ignore"):
            near = inner.astype(dtype)
        reached = np.where(near < inner, np.nextafter(near, dtype.type(np.inf)), near)
        self._repeats = -(-_LONG // len(edges))
        self._inner = np.tile(reached, (1, self._repeats))
        self._kind = np.uint8 if len(inner) < _BYTE else np.uint16

    def find(self, values: NDArray[np.floating]) -> Bins:
        """The number of inner edges at or below each value; uint8 or uint16 [N, D].

        Args:
            values: [N, D], finite.
        """
        found = np.zeros(values.shape, self._kind)
        rows = len(values) // self._repeats * self._repeats
        self._add(values[:rows], found[:rows], self._repeats)
        self._add(values[rows:], found[rows:], 1)
        return found

    def _add(self, values: NDArray[np.floating], found: Bins, repeats: int) -> None:
        """Compare `repeats` rows at once, which makes the inner loop longer."""
        width = repeats * values.shape[1]
        values, found = values.reshape(-1, width), found.reshape(-1, width)
        reached = np.empty(values.shape, np.bool_)
        for edge in self._inner[:, :width]:
            np.greater_equal(values, edge, out=reached)
            found += reached.view(np.uint8)


@dataclass(frozen=True)
class Pairs:
    """Two dimensions as one with B² bins, which halves the look-ups.

    Attributes:
        flat: intp [N, P]; pair p's bin, plus p · B².
    """

    flat: NDArray[np.intp]

    @classmethod
    def of(cls, found: Bins, bins: int) -> Self | None:
        """Pair neighbouring dimensions, an odd one with nothing; None where B² is too large.

        Args:
            found: [N, D], of `BinFinder.find`.
            bins: B.
        """
        if bins**2 > _BYTE:
            return None
        even = np.pad(found, ((0, 0), (0, found.shape[1] % 2)))
        both = even.view("<u2")  # the first of two in the low byte
        pairs = (both & np.uint16(_BYTE - 1)) * np.uint16(bins) + (both >> np.uint16(8))
        return cls(pairs + np.arange(pairs.shape[1]) * bins**2)


def count(found: Bins, bins: int) -> Int64:
    """Count the items per bin, int64 [D, B].

    Args:
        found: [N, D], of `BinFinder.find`.
        bins: B.
    """
    size = found.shape[1]
    pairs = Pairs.of(found, bins)
    if pairs is None:
        flat = (found + np.arange(size) * bins).ravel()
        return np.bincount(flat, minlength=size * bins).reshape(size, bins)
    cells = pairs.flat.shape[1] * bins**2
    both = np.bincount(pairs.flat.ravel(), minlength=cells).reshape(-1, bins, bins)
    counts = np.stack([both.sum(axis=2), both.sum(axis=1)], axis=1)
    return counts.reshape(-1, bins)[:size]


def in_blocks(
    work: Callable[[NDArray[np.floating]], T], values: NDArray[np.floating]
) -> Iterator[T]:
    """Work through rows a block at a time, many blocks on all cores, and give what comes, in order.

    Args:
        work: Called with the rows of a block.
        values: [N, D].
    """
    rows = max(1, _BLOCK // values.shape[1])
    blocks = (values[start : start + rows] for start in range(0, len(values), rows))
    if values.size < _BULK:
        yield from map(work, blocks)
        return
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="bins") as threads:
        coming: deque[Future[T]] = deque()
        for block in blocks:
            coming.append(threads.submit(work, block))
            if len(coming) > 2 * workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
