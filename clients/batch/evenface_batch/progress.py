"""How far a job is: a bar on a terminal, a line now and then where there is none."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from evenface_batch.plan import ListingFacts
from evenface_batch.scoring import Done

_BETWEEN = 10.0  # seconds from line to line


class Progress:
    """Shows images a second, the time that is left and the items with an error.

    Args:
        listing: What there is to score.
        done: Chunks of it that an earlier run has scored.
        clock: Seconds that never go back.
    """

    def __init__(
        self, listing: ListingFacts, done: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rows = self.failed = self._chunks = 0
        self._listing, self._todo = listing, listing.chunks - done
        self._clock = clock
        self._start = self._told = clock()
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._expected(), unit="image", dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, done: Done) -> None:
        """Take in a chunk."""
        self.rows += done.rows
        self.failed += done.failed
        self._chunks += 1
        if self._bar is not None:
            self._bar.total = self._expected()
            self._bar.set_postfix_str(f"{self.failed:,} errors", refresh=False)
            self._bar.update(done.rows)
        elif self._clock() - self._told >= _BETWEEN:
            self._told = self._clock()
            print(self.line(), file=sys.stderr, flush=True)  # noqa: T201

    def line(self) -> str:
        """What there is to say, as text."""
        seconds = self._clock() - self._start
        expected, rate = self._expected(), self.rows / seconds if seconds else 0.0
        left = (max(0, expected - self.rows) / rate) if expected is not None and rate else None
        total = "?" if expected is None else f"{expected:,}"
        about = "about " if self._listing.items is None else ""
        until = "time left unknown" if left is None else f"{tqdm.format_interval(left)} left"
        return (
            f"{self.rows:,} of {about}{total} images, {rate:,.0f}/s, "
            f"{self.failed:,} errors, {until}"
        )

    def _expected(self) -> int | None:
        """Images of this run: by the listing where it knows them and by the chunks so far else."""
        if self._todo == self._chunks:
            return self.rows
        if self._todo == self._listing.chunks and self._listing.items is not None:
            return self._listing.items
        if self._chunks:
            return round(self.rows / self._chunks * self._todo)
        if self._listing.items is None:
            return None
        return round(self._listing.items * self._todo / self._listing.chunks)
