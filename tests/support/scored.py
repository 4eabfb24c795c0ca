"""Jobs whose parts are written from arrays, as if images had been scored."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from evenface_batch.job import Job
from evenface_batch.output import Folder
from evenface_batch.parts import Form, Precision, Rows
from evenface_batch.plan import InputFacts, ListingFacts, ModelFacts, Plan
from evenface_batch.scores import Scores
from evenface_batch.weighting_store import Block, JobStore, Reading, Unit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What images gave.

    Attributes:
        means: float32 [N, D].
        logits: float32 [N]; None where the model does not classify.
        failed: bool [N], items with an error.
    """

    means: Float32
    logits: Float32 | None
    failed: NDArray[np.bool_]

    def rounded(self) -> "Scored":
        """With many equal values, some of them on edges."""
        logits = None if self.logits is None else self.logits.round()
        return Scored(self.means.round(), logits, self.failed)

    @classmethod
    def drawn(cls, rows: int, size: int, seed: int, failing: float = 0.1) -> "Scored":
        generator = np.random.default_rng(seed)
        means = generator.normal(size=(rows, size)) * np.linspace(0.5, 3, size)
        logits = generator.normal(1, 2, rows)
        failed = generator.random(rows) < failing
        return cls(means.astype(np.float32), logits.astype(np.float32), failed)


def job_of(
    folder: Path, scored: Scored, cuts: Sequence[int] = (), dtype: Precision = "float16"
) -> Job:
    """Write a job of which each part ends at a cut, the last at the end."""
    size = scored.means.shape[1]
    plan = Plan(
        input=InputFacts(urls=("images",), kind="images", column=None, id_column=None),
        model=ModelFacts(
            name="faces",
            version="1",
            digest="0" * 64,
            latent_size=size,
            classifies=scored.logits is not None,
        ),
        dtype=dtype,
        chunk_size=2**17,
        listing=ListingFacts(digest="0", chunks=len(cuts) + 1, items=len(scored.means)),
    )
    job = Job(Folder(str(folder)), plan)
    plan.save(job.folder)
    ends = [*sorted(cuts), len(scored.means)]
    for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        with job.output.part(index) as part:
            part.write(_rows(scored, slice(start, end), start, Form(size, dtype)))
    return job


def _rows(scored: Scored, chosen: slice, start: int, form: Form) -> Rows:
    failed = scored.failed[chosen]
    errors = ["cannot be decoded" if one else None for one in failed]
    rows = Rows.empty([f"{start + at}.png" for at in range(len(failed))], errors, form)
    well = np.flatnonzero(~failed)
    logits = None if scored.logits is None else scored.logits[chosen][well]
    rows.fill(well.tolist(), Scores(scored.means[chosen][well], logits, [None] * len(well)))
    return rows


def weights_in(job: Job) -> Float64:
    """The weights of all parts, NaN where there is none."""
    columns = [job.output.read(index, ["weight"]).column(0) for index in job.output.parts()]
    return np.concatenate([column.to_numpy(zero_copy_only=False) for column in columns])


@dataclass(frozen=True)
class Together(JobStore):
    """Takes so many parts as a unit."""

    together: int = 1

    def units(self) -> list[Unit]:
        parts = self.job.output.parts()
        return [tuple(parts[at : at + self.together]) for at in range(0, len(parts), self.together)]


@dataclass(frozen=True)
class Mortal(Together):
    """Dies, as if killed, before a unit is read, or written, for the n-th time."""

    lives: int = 0
    writing: bool = False

    def blocks(self, unit: Unit, reading: Reading) -> Iterator[Block]:
        self._step(writing=False)
        return super().blocks(unit, reading)

    def write(self, unit: Unit, reading: Reading, weights: Float64, mark: str) -> None:
        self._step(writing=True)
        super().write(unit, reading, weights, mark)

    def _step(self, *, writing: bool) -> None:
        with Path(self.folder.path, "writes" if writing else "reads").open("a+b") as file:
            file.write(b"x")
            if writing == self.writing and file.tell() == self.lives:
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
