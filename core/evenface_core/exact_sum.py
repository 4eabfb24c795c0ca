"""Sums that do not depend on the order of what is added, nor on how it is cut into parts.

Floating-point addition rounds, so that the sum of many numbers depends on their order. Here numbers
from 0 to 1 are cut into pieces of 30 bits below the point, whose sums float64 holds exactly; whole
numbers of 2^-90 come out, which add up exactly in any order. What is cut off, less than 2^-90 a
number, is of no account beside a sum of 1 or more. (Adding and taking away a large number to cut
off low bits is the idea of Rump, Ogita and Oishi, "Accurate floating-point summation", 2008.)
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_PIECES = 3
_BITS = 30
_BLOCK = 2**15  # numbers: they fit a core's second cache, and 2^15 pieces of 30 bits a float64

UNIT = 2.0 ** -(_PIECES * _BITS)


def exact_sum(values: Float64) -> int:
    """Add up numbers, each cut off below 2^-90.

    Args:
        values: float64 [N], each from 0 to 1.

    Returns:
        The sum, in units of 2^-90: `value_of` gives the number.
    """
    total = 0
    for start in range(0, len(values), _BLOCK):
        rest = values[start : start + _BLOCK].copy()
        for piece in range(1, _PIECES + 1):
            steps = np.floor(rest * 2.0 ** (piece * _BITS))
            total += int(steps.sum()) << ((_PIECES - piece) * _BITS)
            rest -= steps * 2.0 ** -(piece * _BITS)
    return total


def value_of(units: int) -> float:
    """The number that a sum of units of 2^-90 stands for, rounded once."""
    return units / (1 << (_PIECES * _BITS))
