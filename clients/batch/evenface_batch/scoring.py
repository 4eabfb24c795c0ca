"""How a chunk becomes a part file; the same in every engine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias, TypeVar

from evenface_core.errors import EvenfaceError, JobError

from evenface_batch.items import Chunk, Item
from evenface_batch.output import Output
from evenface_batch.parts import Rows
from evenface_batch.scores import Scorer
from evenface_batch.text import one_line

T = TypeVar("T")

# Kinds of errors that may pass: what has one is scored again where a job is resumed.
PASSING = ("failed: ", "worker died", "the service fails on it: ", "unreachable: ")
MOST_FAILED = 3  # chunks one after the other, before the job is given up
_BATCH = 64  # images in memory at once, unless they are large
_BYTES = 32 * 2**20  # of images at which a batch is full


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


class Failures:
    """Chunks that could not be scored, one after the other: so many say that the job cannot."""

    def __init__(self) -> None:
        self._count = 0

    def end(self) -> None:
        """Note that a chunk was scored."""
        self._count = 0

    def add(self, why: str) -> None:
        """Note that one was not.

        Raises:
            JobError: It is one too many.
        """
        self._count += 1
        if self._count == MOST_FAILED:
            raise JobError(f"{MOST_FAILED} chunks in a row could not be scored: {why}")


Answer: TypeAlias = Done | EvenfaceError | str


def score_chunk(chunk: Chunk, scorer: Scorer, output: Output) -> Done:
    """Read the items of a chunk, score them and write its part, whole or not at all.

    Holds the bytes of a few dozen images and the rows of the part, whatever a chunk's size.

    Raises:
        EvenfaceError: The scorer gives up.
        JobError: The part cannot be written, for a full disk say.
    """
    return _write(chunk.index, _scored(chunk.places.items(), scorer, output), output)


def try_chunk(chunk: Chunk, scorer: Callable[[], Scorer], output: Output) -> Answer:
    """Score a chunk as `score_chunk` does, and give what goes wrong as a value.

    Args:
        chunk: What is to be scored.
        scorer: Gives the scorer; may open it.
        output: Where its part goes.

    Returns:
        What was done; an error that ends the job; or what else went wrong, in one line.
    """
    try:
        return score_chunk(chunk, scorer(), output)
    except EvenfaceError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one chunk must not stop a job
        return one_line(f"failed: {type(error).__name__}: {error}")


def fail_chunk(chunk: Chunk, error: str, output: Output) -> Done:
    """Write a part in which every item of a chunk has the same error.

    Raises:
        JobError: The part cannot be written.
    """
    failed = (
        _rows([Item(name, None, error) for name in names], output)
        for names in _batches(_ids(chunk))
    )
    return _write(chunk.index, failed, output)


def _ids(chunk: Chunk) -> Iterator[str]:
    """Names of the items; one of the chunk for those that cannot be found out."""
    try:
        yield from chunk.places.ids()
    except Exception:  # noqa: BLE001 - one chunk must not stop a job
        yield f"chunk {chunk.index}"


def _write(index: int, rows: Iterable[Rows], output: Output) -> Done:
    total = failed = 0
    with output.part(index) as part:
        for some in rows:
            part.write(some)
            total += len(some.ids)
            failed += sum(error is not None for error in some.errors)
    return Done(index, total, failed)


def _scored(items: Iterator[Item], scorer: Scorer, output: Output) -> Iterator[Rows]:
    for batch in _portions(items):
        rows = _rows(batch, output)
        read = [place for place, item in enumerate(batch) if item.data is not None]
        if read:
            rows.fill(read, scorer.score([batch[place].data or b"" for place in read]))
        yield rows


def _portions(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Items that may be in memory together."""
    held: list[Item] = []
    size = 0
    for item in items:
        held.append(item)
        size += len(item.data or b"")
        if len(held) == _BATCH or size >= _BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _rows(items: Sequence[Item], output: Output) -> Rows:
    return Rows.empty([item.id for item in items], [item.error for item in items], output.form)


def _batches(things: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(things, _BATCH)):
        yield batch
