"""How a chunk becomes a part file; the same in every engine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from evenface_batch.items import Chunk, Item
from evenface_batch.output import Output
from evenface_batch.parts import Rows
from evenface_batch.scores import Scorer

T = TypeVar("T")

_BATCH = 64  # images in memory at once


@dataclass(frozen=True)
class Done:
    """A chunk whose part is written.

    Attributes:
        index: Of the chunk.
        rows: Items in it.
        failed: Those of them that have an error.
    """

    index: int
    rows: int
    failed: int


def score_chunk(chunk: Chunk, scorer: Scorer, output: Output) -> Done:
    """Read the items of a chunk, score them and write its part, whole or not at all.

    Holds the bytes of a few dozen images and the rows of the part, whatever a chunk's size.

    Raises:
        EvenfaceError: The scorer gives up.
        JobError: The part cannot be written, for a full disk say.
    """
    return _write(chunk.index, _scored(chunk.places.items(), scorer, output), output)


def fail_chunk(chunk: Chunk, error: str, output: Output) -> Done:
    """Write a part in which every item of a chunk has the same error.

    Raises:
        JobError: The part cannot be written.
    """
    failed = (
        _rows([Item(name, None, error) for name in names], output)
        for names in _batches(chunk.places.ids())
    )
    return _write(chunk.index, failed, output)


def _write(index: int, rows: Iterable[Rows], output: Output) -> Done:
    total = failed = 0
    with output.part(index) as part:
        for some in rows:
            part.write(some)
            total += len(some.ids)
            failed += sum(error is not None for error in some.errors)
    return Done(index, total, failed)


def _scored(items: Iterator[Item], scorer: Scorer, output: Output) -> Iterator[Rows]:
    for batch in _batches(items):
        rows = _rows(batch, output)
        read = [place for place, item in enumerate(batch) if item.data is not None]
        if read:
            rows.fill(read, scorer.score([batch[place].data or b"" for place in read]))
        yield rows


def _rows(items: Sequence[Item], output: Output) -> Rows:
    return Rows.empty([item.id for item in items], [item.error for item in items], output.form)


def _batches(things: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(things, _BATCH)):
        yield batch
