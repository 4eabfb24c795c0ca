"""Bins of neighbouring dimensions packed into one number, so that four are looked up at a time.

They lie group by group, for counting and looking up go through one group's numbers after the other.
What is found does not depend on how many are packed: values join in the same order, the four of
neighbours as (a, b), (c, d), and the fours one after the other.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evenface_core.bins import Bins
from evenface_core.blocks import Scratch

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_BYTE = 2**8
_LEVELS = 2  # of joining neighbours: two, then four
_CELLS = 2**14  # at most in the table of one group, which then stays near a core
_NIBBLE = 2**4  # bins of which two fit a byte
_FEW = 2**12  # rows that are not worth tables of fours


@dataclass(frozen=True)
class Packing:
    """How the bins of D dimensions are packed.

    Attributes:
        size: D.
        bins: B.
        levels: log2 of the dimensions in a number.
    """

    size: int
    bins: int
    levels: int

    @classmethod
    def best(cls, size: int, bins: int, rows: int) -> Self:
        """The fastest for so many rows."""
        levels = _LEVELS if rows >= _FEW else 1
        while levels and (bins**2**levels > _CELLS or 2 ** (levels - 1) >= size):
            levels -= 1
        return cls(size, bins, levels)

    @property
    def groups(self) -> int:
        """G, the numbers of an item."""
        return -(-self.size // self._together)

    @property
    def _together(self) -> int:
        """The dimensions in a number."""
        return 1 << self.levels

    def room(self, rows: int) -> Bins:
        """An array for the packed bins of so many rows, uint8 or uint16 [G, N]."""
        if not self.levels and self.bins <= _BYTE:
            return np.empty((self.groups, rows), np.uint8)
        return np.empty((self.groups, rows), np.uint16)

    def pack(self, found: Bins, packed: Bins, scratch: Scratch) -> None:
        """Pack bins.

        Args:
            found: uint8 or uint16 [N, D].
            packed: Some columns of `room`'s, N of them, filled in.
            scratch: For what is between.
        """
        if not self.levels:
            packed[...] = found.T
            return
        size = self.groups * self._together
        if size > self.size:
            even = scratch.array("even", (len(found), size), found.dtype)
            even[:, : self.size], even[:, self.size :] = found, 0
            found = even
        pairs = scratch.array("pairs", (len(found), size // 2), np.uint16)
        if self.bins > _NIBBLE:
            np.multiply(found[:, ::2], np.uint16(self.bins), out=pairs)
            pairs += found[:, 1::2]
        else:
            _join_halves(found.view("<u2"), self.bins, 8, pairs)
        if self.levels == 1:
            packed[...] = pairs.T
            return
        fours = scratch.array("fours", (len(found), self.groups), np.uint32)
        _join_halves(pairs.view("<u4"), self.bins**2, 16, fours)
        packed[...] = fours.T

    def count(self, packed: Bins) -> Int64:
        """Count the items per group and number, int64 [G, B to the dimensions in a number]."""
        cells = self.bins**self._together
        return np.stack([np.bincount(group, minlength=cells) for group in packed])

    def unpack(self, counts: Int64) -> Int64:
        """Of sums of `count`, the items per dimension and bin: int64 [D, B]."""
        for level in reversed(range(self.levels)):
            both = counts.reshape(len(counts), self.bins**2**level, -1)
            counts = np.stack([both.sum(axis=2), both.sum(axis=1)], axis=1)
            counts = counts.reshape(-1, both.shape[1])
        return counts[: self.size]

    def largest(self, packed: Bins, table: Float64) -> Float64:
        """The largest over the dimensions of what items find in a table [D, B]; float64 [N]."""
        known, ranks = np.unique(table, return_inverse=True)
        small = ranks.reshape(table.shape).astype(np.uint16 if len(known) <= 2**16 else np.intp)
        largest: Float64 = known[self._join(packed, small, np.maximum)]
        return largest

    def total(self, packed: Bins, table: Float64) -> Float64:
        """The sum over the dimensions of what items find in a table [D, B]; float64 [N]."""
        return self._join(packed, table, np.add)

    def _join(self, packed: Bins, table: NDArray[Any], join: np.ufunc) -> NDArray[Any]:
        tables = self._joined(table, join)
        step = _LEVELS - self.levels
        result = self._find(packed, tables, join, 0, step)
        for first in range(2**step, self.groups, 2**step):
            join(result, self._find(packed, tables, join, first, step), out=result)
        return result

    def _find(
        self, packed: Bins, tables: NDArray[Any], join: np.ufunc, first: int, levels: int
    ) -> NDArray[Any]:
        """What items find in the tables of a group and of the next ones, 2^levels of them."""
        if not levels:
            found: NDArray[Any] = tables[first].take(packed[first])
            return found
        left = self._find(packed, tables, join, first, levels - 1)
        middle = first + 2 ** (levels - 1)
        if middle < self.groups:
            join(left, self._find(packed, tables, join, middle, levels - 1), out=left)
        return left

    def _joined(self, table: NDArray[Any], join: np.ufunc) -> NDArray[Any]:
        """A table of all that a number can stand for, [G, B to the dimensions in a number]."""
        missing = self.groups * self._together - self.size
        table = np.pad(table, ((0, missing), (0, 0)))  # 0: no less than any rank, adds nothing
        for _ in range(self.levels):
            table = join(table[0::2, :, None], table[1::2, None, :])
            table = table.reshape(len(table), -1)
        return table


def _join_halves(both: NDArray[Any], bins: int, bits: int, out: NDArray[Any]) -> None:
    """Make bins · low half + high half of each number, which must fit into a half.

    Of low + 2^bits · high the product with 2^bits · bins + 1 has it in its upper half, and what
    else there would be is beyond the number's end.
    """
    kind = out.dtype.type
    np.multiply(both, kind((bins << bits) + 1), out=out)
    out >>= kind(bits)
