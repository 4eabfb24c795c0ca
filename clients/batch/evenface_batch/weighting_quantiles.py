"""The n-th smallest of numbers that lie in many places, exactly, by counting their bits.

float32 numbers, taken as 32 bits in the order of the numbers, are counted by their first 16 bits;
then, for those that begin as a wanted number does, by the next 8, and by the last 8. Counts add up.
This is a search by radix; its idea is in Knuth, The Art of Computer Programming, volume 3, 5.2.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]

_WHOLE = 32
_STEPS = (16, 8, 8)
_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True)
class Digits:
    """Some bits of numbers, of those that begin in certain ways.

    Attributes:
        prefixes: uint32 [P], increasing, the bits before.
        known: How many bits these are.
        bits: How many to count.
    """

    prefixes: UInt32
    known: int
    bits: int

    def none(self) -> Int64:
        """Counts of nothing, int64 [P, 2^bits]."""
        return np.zeros((len(self.prefixes), 1 << self.bits), np.int64)

    def count(self, numbers: NDArray[np.floating]) -> Int64:
        """Count numbers by their prefix and the bits behind it.

        Args:
            numbers: float32 [N], finite.

        Returns:
            int64 [P, 2^bits].
        """
        leading = _keys(numbers) >> np.uint32(_WHOLE - self.known - self.bits)
        digits = (leading & np.uint32((1 << self.bits) - 1)).astype(np.int64)
        before = leading >> np.uint32(self.bits) if self.known else np.zeros_like(leading)
        places = np.searchsorted(self.prefixes, before).clip(max=len(self.prefixes) - 1)
        wanted = self.prefixes[places] == before
        flat = (places[wanted] << self.bits) + digits[wanted]
        cells = len(self.prefixes) << self.bits
        return np.bincount(flat, minlength=cells).reshape(-1, 1 << self.bits)


ALL = Digits(np.zeros(1, np.uint32), 0, 1)  # of any numbers; their counts are how many there are


def smallest(count: Callable[[Digits], Int64], ranks: Int64) -> NDArray[np.float32]:
    """Find the numbers of given ranks.

    Args:
        count: Counts all numbers by digits.
        ranks: int64, 0 is the smallest.

    Returns:
        float32, in the shape of the ranks.
    """
    left, found, known = ranks.ravel(), np.zeros(ranks.size, np.uint32), 0
    for bits in _STEPS:
        prefixes, rows = np.unique(found, return_inverse=True)
        counts = count(Digits(prefixes, known, bits))
        through = np.cumsum(counts, axis=1)
        pairs = zip(rows, left, strict=True)
        digits = np.array([np.searchsorted(through[row], rank, "right") for row, rank in pairs])
        left = left - np.where(digits > 0, through[rows, digits - 1], 0)
        found = (found << np.uint32(bits)) | digits.astype(np.uint32)
        known += bits
    return _numbers(found).reshape(ranks.shape)


def _keys(numbers: NDArray[np.floating]) -> UInt32:
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    keys: UInt32 = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return keys


def _numbers(keys: UInt32) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float32)
    return numbers
