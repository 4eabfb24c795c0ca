"""Where rows come from to be weighted, and where their weights go: the part files of a job."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from evenface_core.errors import JobError
from evenface_core.rules import Reads
from evenface_core.weights import WEIGHTING_MARK
from numpy.typing import NDArray

from evenface_batch.job import Job
from evenface_batch.output import Folder, PartWriter, part_name
from evenface_batch.plan import PLAN_FILE

Unit: TypeAlias = tuple[int, ...]  # the numbers of some parts that follow one another

_UNIT = 2**18  # rows that a process works on without telling how far it is
_BATCH = 2**14  # rows that are read at a time
_BLOCK = 2**22  # values that are worked on at a time, if there are so many
_UNSURE = 0.5


@dataclass(frozen=True)
class Reading:
    """What is read of rows.

    Attributes:
        reads: What a rule reads.
        min_face_probability: Rows below it are left out; at 0, none.
    """

    reads: Reads
    min_face_probability: float

    @property
    def columns(self) -> list[str]:
        """Of a part."""
        return ["mean" if self.reads == "latents" else "logit", "probability"]


@dataclass(frozen=True)
class Found:
    """What there is to know of rows.

    Attributes:
        rows: How many there are.
        failed: Those with an error.
        non_faces: Those left out because they are likely no faces.
        unsure: Those weighted, but less likely a face than not.
        greatest: Score; -inf where none is weighted.
        least: Score; inf where none is weighted.
    """

    rows: int = 0
    failed: int = 0
    non_faces: int = 0
    unsure: int = 0
    greatest: float = -np.inf
    least: float = np.inf

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.rows + other.rows,
            self.failed + other.failed,
            self.non_faces + other.non_faces,
            self.unsure + other.unsure,
            max(self.greatest, other.greatest),
            min(self.least, other.least),
        )

    @property
    def weighted(self) -> int:
        """Rows that get a weight."""
        return self.rows - self.failed - self.non_faces


@dataclass(frozen=True)
class Block:
    """Rows.

    Attributes:
        values: float16 or float32 [N, D], of the rows that are weighted.
        found: Of these and the others among them.
    """

    values: NDArray[np.floating]
    found: Found


class Store(Protocol):
    """Rows in units, and a folder for what is found of them. Picklable."""

    @property
    def identity(self) -> str:
        """Another for other rows."""

    @property
    def folder(self) -> Folder:
        """Where what has been found is kept."""

    def units(self) -> list[Unit]:
        """What a process works on at a time."""

    def blocks(self, unit: Unit, reading: Reading) -> Iterator[Block]:
        """The rows of a unit, in their order."""

    def write(self, unit: Unit, reading: Reading, weights: NDArray[np.float64], mark: str) -> None:
        """Give the rows of a unit that are weighted their weights, and the others none."""


@dataclass(frozen=True)
class JobStore:
    """The parts of a job, all of which must be there.

    Attributes:
        job: The job.
    """

    job: Job

    @property
    def identity(self) -> str:
        """SHA-256 of the job's plan, which names the model and the listing by theirs."""
        with self.folder.open(PLAN_FILE) as file:
            return hashlib.sha256(file.read()).hexdigest()

    @property
    def folder(self) -> Folder:
        """The job's."""
        return self.job.folder

    def units(self) -> list[Unit]:
        """So many parts together as hold some 2^18 rows if they are full."""
        parts, together = self.job.output.parts(), max(1, _UNIT // self.job.plan.chunk_size)
        return [tuple(parts[at : at + together]) for at in range(0, len(parts), together)]

    def blocks(self, unit: Unit, reading: Reading) -> Iterator[Block]:
        """The rows of a unit, joined over its parts.

        Raises:
            JobError: A part is not there, or damaged.
        """
        held: list[Block] = []
        for index in unit:
            for batch in self._batches(index, reading.columns):
                held.append(_block(batch, reading))
                if sum(block.values.size for block in held) >= _BLOCK:
                    yield _joined(held)
                    held.clear()
        if held:
            yield _joined(held)

    def write(self, unit: Unit, reading: Reading, weights: NDArray[np.float64], mark: str) -> None:
        """Replace each part by one with its weights, unless it bears the mark already.

        Raises:
            JobError: A part cannot be read or written, or is not what it was.
        """
        start = 0
        for index in unit:
            with self.job.output.opened(index) as file:
                if (file.schema_arrow.metadata or {}).get(WEIGHTING_MARK) == mark.encode():
                    column = file.read(["weight"]).column(0)
                    start += len(column) - column.null_count
                    continue
            start = self._rewrite(index, reading, weights, start, mark)
        if start != len(weights):
            raise JobError(f"{self.folder.url}: parts have changed while they were weighted")

    def _rewrite(
        self, index: int, reading: Reading, weights: NDArray[np.float64], start: int, mark: str
    ) -> int:
        schema = self.job.output.form.schema
        marked = schema.with_metadata({**schema.metadata, WEIGHTING_MARK: mark.encode()})
        with self.folder.replacing(part_name(index)) as file:
            writer = PartWriter(file, marked)
            for batch in self._batches(index, None):
                chosen = _chosen(batch, reading)
                end = start + _count(chosen)
                column = np.zeros(len(chosen))
                column[chosen] = weights[start:end]
                place = marked.get_field_index("weight")
                filled = pa.array(column, pa.float64(), mask=~chosen)
                table = pa.Table.from_batches([batch.set_column(place, "weight", filled)])
                writer.write_table(table.replace_schema_metadata(marked.metadata))
                start = end
            writer.close()
        return start

    def _batches(self, index: int, columns: list[str] | None) -> Iterator[Any]:
        with self.job.output.opened(index) as file:
            yield from file.iter_batches(_BATCH, columns=columns)


def _block(batch: Any, reading: Reading) -> Block:  # noqa: ANN401 - pyarrow has no types
    column = batch.column(reading.columns[0])
    known, chosen = _mask(column), _chosen(batch, reading)
    unsure = chosen & (_probabilities(batch) < _UNSURE)
    latents = reading.reads == "latents"
    flat, size = (column.flatten(), column.type.list_size) if latents else (column.drop_null(), 1)
    values = flat.to_numpy(zero_copy_only=False).reshape(-1, size)  # of the rows that have any
    found = Found(len(known), _count(~known), _count(known & ~chosen), _count(unsure))
    return Block(values[chosen[known]], found)


def _chosen(batch: Any, reading: Reading) -> NDArray[np.bool_]:  # noqa: ANN401
    known = _mask(batch.column(reading.columns[0]))
    if not reading.min_face_probability:
        return known
    chosen: NDArray[np.bool_] = known & (_probabilities(batch) >= reading.min_face_probability)
    return chosen


def _mask(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    known: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return known


def _probabilities(batch: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """float64 [N], NaN where there is none."""
    found: NDArray[np.float64] = (
        batch.column("probability").cast(pa.float64()).to_numpy(zero_copy_only=False)
    )
    return found


def _joined(blocks: list[Block]) -> Block:
    found = sum((block.found for block in blocks), start=Found())
    return Block(np.concatenate([block.values for block in blocks]), found)


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))
