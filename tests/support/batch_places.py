"""Places of items, and a model, that do to a worker what none should."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenface_batch.engines.model import LocalModel, LocalScorer
from evenface_batch.items import Item


@dataclass(frozen=True)
class Deadly:
    """Items at which the process that reads them is killed, but for those after some deaths.

    Attributes:
        marks: A folder in which each death leaves a mark.
        deaths: After so many, the items are read.
        data: What they then are.
    """

    marks: Path
    deaths: int
    data: bytes

    @property
    def count(self) -> int:
        return 2

    def items(self) -> Iterator[Item]:
        yield Item("first", self.data)
        if len(list(self.marks.iterdir())) < self.deaths:
            (self.marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield Item("second", self.data)

    def ids(self) -> Iterator[str]:
        yield from ("first", "second")

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        yield from ((row, item) for row, item in enumerate(self.items()) if row in rows)

    def to_line(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class Stillborn(LocalModel):
    """A model at whose opening a process is killed."""

    def open(self) -> LocalScorer:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
