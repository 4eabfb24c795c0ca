"""Random numbers that depend on (seed, stream, index, name) and on nothing else.

No state and no order: each number is a hash of where it belongs, so that an image is the same
whatever batch it is drawn with, and a factor that is added moves no other.
"""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evenface_training.synthetic.arrays import Float32

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


class Draws:
    """Named random numbers of N images.

    Args:
        seed: 0 to 2⁶⁴ - 1.
        stream: Keeps apart what shares seed and index, such as faces and non-faces.
        start: Index of the first image.
        count: N.
    """

    def __init__(self, seed: int, stream: int, start: int, count: int) -> None:
        indices = np.arange(start, start + count, dtype=np.uint64)
        key = np.array([(seed + _GOLDEN * (stream + 1)) & _MASK], np.uint64)
        self._state = mix(mix(key) + mix(indices + np.uint64(1)))
        self.count = count

    def unit(self, name: str) -> Float64:
        """Float64 [N], uniform in [0, 1)."""
        word = np.uint64((zlib.crc32(name.encode()) * _GOLDEN) & _MASK)
        drawn = mix(self._state ^ word) >> np.uint64(11)
        return drawn.astype(np.float64) * 2.0**-53

    def uniform(self, name: str, low: float, high: float) -> Float32:
        """Float32 [N, 1, 1], uniform in [low, high)."""
        return as_plane(low + (high - low) * self.unit(name))

    def around(self, name: str, middle: float, spread: float) -> Float32:
        """Float32 [N, 1, 1], triangular in middle ± spread."""
        half = self.unit(f"{name} a") + self.unit(f"{name} b") - 1.0
        return as_plane(middle + spread * half)

    def pick(self, name: str, shares: Mapping[str, float] | Mapping[int, float]) -> Int64:
        """Int64 [N], positions in `shares`, each as often as its share says."""
        limits = np.cumsum(np.fromiter(shares.values(), np.float64))
        # The sum may miss 1 by a rounding; a share of zero must stay impossible all the same.
        limits[limits >= limits[-1]] = 1.0
        return np.searchsorted(limits, self.unit(name), side="right").astype(np.int64)

    def one_of(self, name: str, count: int) -> Int64:
        """Int64 [N], uniform in 0 to count - 1."""
        return (self.unit(name) * count).astype(np.int64)

    def color(self, name: str, palette: Float32, jitter: float = 0.0) -> Float32:
        """Float32 [N, 3, 1, 1]: a colour of float32 [K, 3], each channel moved by ± jitter."""
        chosen = palette[self.one_of(name, len(palette))]
        return self.jittered(name, as_color(chosen), jitter)

    def jittered(self, name: str, color: Float32, jitter: float) -> Float32:
        """Move each channel of float32 [N, 3, 1, 1] by ± jitter, and all three together as far."""
        common = self.unit(f"{name} light") - 0.5
        moves = [common + self.unit(f"{name} {channel}") - 0.5 for channel in "rgb"]
        moved = color + as_color(np.stack(moves, axis=1) * jitter)
        return np.clip(moved, 0, 1, dtype=np.float32)


def as_plane(values: NDArray[np.generic]) -> Float32:
    """Turn [N] into float32 [N, 1, 1], which broadcasts over an image's rows and columns."""
    return values.astype(np.float32)[:, None, None]


def as_color(values: NDArray[np.generic]) -> Float32:
    """Turn [N, 3] into float32 [N, 3, 1, 1]."""
    return values.astype(np.float32)[:, :, None, None]


def mix(words: UInt64) -> UInt64:
    """Scramble 64-bit words: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
