"""Latents that are made as they are read, so that more of them can be weighted than disks hold."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from evenface_batch.output import Folder
from evenface_batch.weighting_store import Block, Found, Reading, Unit
from numpy.typing import NDArray

ROWS = 2**15  # of a chunk, whatever the units
_LEVELS = 2**16


@dataclass(frozen=True)
class MadeStore:
    """Standard normal latents as float16, each chunk of rows from a generator of its own.

    Attributes:
        url: Folder for scores and weights.
        rows: N.
        size: D.
        chunks: Of 2^15 rows, in a unit; the rows are the same whatever it is.
        seed: Of the generators.
    """

    url: str
    rows: int
    size: int
    chunks: int
    seed: int = 0

    @property
    def identity(self) -> str:
        """All that the latents depend on."""
        return f"{self.seed} {self.rows} {self.size} {self.chunks}"

    @property
    def folder(self) -> Folder:
        """For scores and weights."""
        return Folder(self.url)

    def units(self) -> list[Unit]:
        """Chunks that follow one another."""
        chunks = range(-(-self.rows // ROWS))
        return [tuple(chunks[at : at + self.chunks]) for at in range(0, len(chunks), self.chunks)]

    def blocks(self, unit: Unit, reading: Reading) -> Iterator[Block]:
        """The latents of a unit; they have no logits."""
        assert reading.reads == "latents"  # noqa: S101
        for chunk in unit:
            latents = self.latents(chunk)
            yield Block(latents, Found(rows=len(latents)))

    def latents(self, chunk: int) -> NDArray[np.float16]:
        """float16 [2^15 or what is left, D]."""
        rows = min(ROWS, self.rows - chunk * ROWS)
        generator = np.random.Generator(np.random.SFC64([self.seed, chunk]))
        bits = np.frombuffer(generator.bytes(2 * rows * self.size), np.uint16)
        return _normals().take(bits).reshape(rows, self.size)

    def write(self, unit: Unit, reading: Reading, weights: NDArray[np.float64], mark: str) -> None:
        """Keep weights in a file of the unit."""
        del reading, mark
        with self.folder.replacing(_name(unit)) as file:
            np.save(file, weights)

    def weights(self, unit: Unit) -> NDArray[np.float64]:
        """What was written."""
        with self.folder.open(_name(unit)) as file:
            found: NDArray[np.float64] = np.load(file)
        return found

    def digest(self) -> str:
        """SHA-256 of all weights in the order of the rows."""
        total = hashlib.sha256()
        for unit in self.units():
            total.update(self.weights(unit).tobytes())
        return total.hexdigest()


def _name(unit: Unit) -> str:
    return f"weights/{unit[0]:09}.npy"


@cache
def _normals() -> NDArray[np.float16]:
    """The standard normal distribution in 2^16 steps of equal probability."""
    inverse = NormalDist().inv_cdf
    steps = [inverse((number + 0.5) / _LEVELS) for number in range(_LEVELS)]
    return np.array(steps, np.float16)
