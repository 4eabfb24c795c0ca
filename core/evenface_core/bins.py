"""Which bin each value lies in: the part of resampling that looks at every single value.

Written so that a block of rows stays in a core's cache and numpy's inner loops are long ones. A
value lies in as many bins' beginnings as there are inner edges at or below it, exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from evenface_core.blocks import Scratch

Bins = NDArray[np.uint8] | NDArray[np.uint16]
Float64 = NDArray[np.float64]
Values = NDArray[np.floating]

_BYTE = 2**8
_LONG = 2**12  # values that are worked on at least in one go
_BLOCK = 2**17  # values; with what they are worked on by they fit a core's second cache
_NEAR = 4  # steps of a line that are too near to an edge to tell
_LARGEST_HALF = 0x7BFF  # float16's largest finite number, as bits


class NotFinite(ValueError):
    """Values hold NaN or infinity."""


def block_rows(size: int) -> int:
    """How many rows of `size` values to look at in one go, so that they stay near a core."""
    repeats = _repeats(size)
    return max(1, _BLOCK // size // repeats) * repeats


def _repeats(size: int) -> int:
    return -(-_LONG // size)


def _wide(rows: int, size: int) -> Iterator[tuple[slice, int]]:
    """Many rows as a wide one, which makes the inner loops longer, and then the rest."""
    many = rows // _repeats(size) * _repeats(size)
    if many:
        yield slice(many), _repeats(size) * size
    if many < rows:
        yield slice(many, None), size


class BinFinder:
    """Finds bins, by whichever way is fastest for these edges and values.

    Args:
        edges: float64 [D, B + 1], increasing; the outer ones are open.
        dtype: Precision of the values to come. They are compared as they are: at least an edge is
            what is at least the next value of that precision.
    """

    def __init__(self, edges: Float64, dtype: np.dtype[np.floating]) -> None:
        inner = np.ascontiguousarray(edges.T[1:-1])
        with np.errstate(over="ignore"):
            near = inner.astype(dtype.newbyteorder("="))
        reached = np.where(near < inner, np.nextafter(near, dtype.type(np.inf)), near)
        self._size = len(edges)
        self._kind = np.uint8 if len(inner) < _BYTE else np.uint16
        self._dtype = reached.dtype
        self._way = self._fastest(edges, reached)

    def find(self, values: Values, scratch: Scratch) -> Bins:
        """The number of inner edges at or below each value.

        Args:
            values: [N, D].
            scratch: Where to put them and what they are found by.

        Returns:
            uint8 or uint16 [N, D], until the scratch is used again.

        Raises:
            NotFinite: They hold NaN or infinity.
        """
        values = values.astype(self._dtype, copy=False)
        found = scratch.array("found", values.shape, self._kind)
        for rows, width in _wide(len(values), self._size):
            wide, places = values[rows].reshape(-1, width), found[rows].reshape(-1, width)
            self._way.find(wide, places, scratch)
        return found

    def _fastest(self, edges: Float64, reached: Values) -> "_Way":
        if self._kind is np.uint16:
            return _Search(reached)
        linear = reached.dtype in (np.float32, np.float64)
        line = _Line.through(edges, reached, _repeats(self._size)) if linear else None
        return line or _Comparisons(reached, _repeats(self._size))


class _Way(Protocol):
    def find(self, values: Values, found: Bins, scratch: Scratch) -> None:
        """Fill in the bins of values [n, D] or of several such rows in one."""


class _Comparisons:
    """Compares with one edge after the other. float16 is compared by its bits, as int16."""

    def __init__(self, reached: Values, repeats: int) -> None:
        halves = reached.dtype == np.float16
        # -0.0 reaches an edge of 0.0, but its bits come before.
        marks = np.where(reached == 0, np.int16(-1), _ordered(reached)) if halves else reached
        self._marks = np.tile(marks, (1, repeats))

    def find(self, values: Values, found: Bins, scratch: Scratch) -> None:
        keys = _checked(values)
        reached = scratch.array("reached", values.shape, np.bool_)
        found[...] = 0
        for edge in self._marks[:, : values.shape[1]]:
            np.greater_equal(keys, edge, out=reached)
            found += reached.view(np.uint8)


class _Search:
    """Halves the edges of one dimension after the other, where there are many."""

    def __init__(self, reached: Values) -> None:
        self._reached = np.ascontiguousarray(reached.T)

    def find(self, values: Values, found: Bins, scratch: Scratch) -> None:
        del scratch  # there is nothing to keep in it
        _checked(values)
        size = len(self._reached)
        rows, places = values.reshape(-1, size), found.reshape(-1, size)
        for number, edges in enumerate(self._reached):
            places[:, number] = np.searchsorted(edges, rows[:, number], side="right")


@dataclass(frozen=True)
class _Line:
    """Reads the bin off a straight line, where edges are evenly spaced, and compares if in doubt.

    A value's place, in bins, is scale · value + offset, which is put at the lower end of a
    number's significand and read from its lowest 16 bits: `bits` of fraction below the bin. It
    never falls where the value rises, so it is enough to try it on both sides of each edge.

    Attributes:
        scale: [width], repeated like `offset`.
        offset: [width].
        reached: [B - 1, D], the least values beyond the inner edges.
        bits: Of fraction.
        bins: B.
    """

    scale: Values
    offset: Values
    reached: Values
    bits: int
    bins: int

    @classmethod
    def through(cls, edges: Float64, reached: Values, repeats: int) -> Self | None:
        """The line through edges; None where there is none that tells values apart."""
        dtype, bins = reached.dtype, edges.shape[1] - 1
        bits = 16 - bins.bit_length()
        with np.errstate(all="ignore"):
            slope = bins / (edges[:, -1] - edges[:, 0])
            rise = _start(dtype, bits) - edges[:, 0] * slope + _NEAR / 2 / 2**bits
            scale, offset = slope.astype(dtype), rise.astype(dtype)
            line = cls(np.tile(scale, repeats), np.tile(offset, repeats), reached, bits, bins)
            return line if line._tells(scale, offset) else None

    def _tells(self, scale: Values, offset: Values) -> bool:
        """Whether what is on either side of an edge lies at it or a few steps beyond."""
        marks = np.arange(1, self.bins)[:, None] * 2**self.bits
        below = np.nextafter(self.reached, self.reached.dtype.type(-np.inf))
        sides = np.stack([below, self.reached]) * scale + offset
        steps = (sides - sides.dtype.type(_start(sides.dtype, self.bits))) * 2**self.bits
        return bool(((steps >= marks) & (steps < marks + _NEAR)).all())

    def find(self, values: Values, found: Bins, scratch: Scratch) -> None:
        width = values.shape[1]
        places = scratch.array("places", values.shape, values.dtype)
        np.multiply(values, self.scale[:width], out=places)
        places += self.offset[:width]
        beyond = self._keep_inside(places, values)
        steps = scratch.array("steps", values.shape, np.uint16)
        whole = np.uint32 if places.dtype == np.float32 else np.uint64
        np.copyto(steps, places.view(whole), casting="unsafe")
        np.right_shift(steps, self.bits, out=found, casting="unsafe")
        if beyond:
            np.minimum(found, found.dtype.type(self.bins - 1), out=found)
        steps &= np.uint16(2**self.bits - _NEAR)
        unsure = np.flatnonzero(
            np.equal(steps, 0, out=scratch.array("unsure", steps.shape, np.bool_))
        )
        if len(unsure):
            self._compare(values.reshape(-1), found.reshape(-1), unsure)

    def _compare(self, values: Values, found: Bins, unsure: NDArray[np.intp]) -> None:
        """Put those back that lie before the edge at which the line has them."""
        places, size = found[unsure], self.reached.shape[1]
        inner = np.maximum(places, 1) - 1  # nothing lies before the first bin
        before = values[unsure] < self.reached[inner, unsure % size]
        found[unsure] = places - (before & (places > 0))

    def _keep_inside(self, places: Values, values: Values) -> bool:
        """Keep places within what 16 bits tell apart; say if some lie beyond the last bin.

        There is room for one bin more at least, where the greatest value lies of those that equal
        bins were made for.
        """
        start, step = _start(places.dtype, self.bits), 2.0**-self.bits
        end, highest = start + self.bins, places.max()
        if start <= places.min() and highest < start + 2 ** (16 - self.bits):
            return bool(highest >= end)
        _checked(values)
        np.clip(places, start + _NEAR * step, end - step, out=places)
        return False


def _start(dtype: np.dtype[Any], bits: int) -> float:
    """From here to its double, numbers of this precision are 2^-bits apart."""
    return 2.0 ** (np.finfo(dtype).nmant - bits)


def _ordered(halves: Values) -> NDArray[np.int16]:
    """The bits of float16 as integers that are in the order of the numbers."""
    bits = halves.view(np.int16)
    keys: NDArray[np.int16] = bits ^ ((bits >> 15) & 0x7FFF)
    return keys


def _halves(keys: NDArray[np.int16]) -> NDArray[np.float16]:
    """What `_ordered` made the keys of."""
    halves: NDArray[np.float16] = (keys ^ ((keys >> 15) & 0x7FFF)).view(np.float16)
    return halves


def _checked(values: Values) -> NDArray[Any]:
    """What to compare in place of the values, if they are finite."""
    if values.dtype != np.float16:
        if not np.isfinite(values).all():
            raise NotFinite
        return values
    keys = _ordered(values)
    if keys.max() > _LARGEST_HALF or keys.min() < -_LARGEST_HALF - 1:
        raise NotFinite
    return keys


def extremes(values: Values) -> tuple[Float64, Float64]:
    """The least and the greatest value in each dimension; NaN and infinity show in them.

    Args:
        values: [N, D], N ≥ 1.

    Returns:
        Both float64 [D].
    """
    size, step = values.shape[1], block_rows(values.shape[1])
    found = [
        _extremes(values[start : start + step][rows].reshape(-1, width), size)
        for start in range(0, len(values), step)
        for rows, width in _wide(len(values[start : start + step]), size)
    ]
    low, high = zip(*found, strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)


def _extremes(wide: Values, size: int) -> tuple[Float64, Float64]:
    """Of rows of which each holds several."""
    keys = wide if wide.dtype != np.float16 else _ordered(wide)
    low, high = keys.min(axis=0), keys.max(axis=0)
    if wide.dtype == np.float16:
        low, high = _halves(low), _halves(high)
    # Adding 0 makes of -0 a 0, so that it does not matter which of them came first.
    low, high = low.astype(np.float64) + 0.0, high.astype(np.float64) + 0.0
    return low.reshape(-1, size).min(axis=0), high.reshape(-1, size).max(axis=0)
