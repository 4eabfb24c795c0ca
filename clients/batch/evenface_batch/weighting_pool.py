"""Processes that work on units, and how far they are."""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from evenface_core.errors import JobError
from tqdm import tqdm

from evenface_batch.weighting_store import Unit

T = TypeVar("T")

_AHEAD = 2  # units a process, so that none waits for the next
_BETWEEN = 10.0  # seconds from line to line where there is no terminal


class Pool:
    """Runs a function on each unit, on many processes.

    Args:
        executor: The processes; None to work in this one.
        workers: How many.
    """

    def __init__(self, executor: ProcessPoolExecutor | None, workers: int) -> None:
        self._executor, self._ahead = executor, _AHEAD * workers

    @classmethod
    @contextmanager
    def of(cls, workers: int) -> Iterator["Pool"]:
        """Lend a pool. One worker is this process."""
        if workers == 1:
            yield cls(None, 1)
            return
        context = multiprocessing.get_context("spawn")  # never a fork of a process with threads
        with ProcessPoolExecutor(workers, context, initializer=_ignore_interrupts) as executor:
            try:
                yield cls(executor, workers)
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise

    def run(self, work: Callable[[Unit], T], units: Sequence[Unit], title: str) -> Iterator[T]:
        """Give what comes of the units, in any order.

        Raises:
            JobError: A process died.
        """
        between = 0.1 if sys.stderr.isatty() else _BETWEEN
        with tqdm(total=len(units), desc=title, unit="unit", mininterval=between, delay=1) as bar:
            for result in self._results(work, units):
                bar.update()
                yield result

    def _results(self, work: Callable[[Unit], T], units: Sequence[Unit]) -> Iterator[T]:
        if self._executor is None:
            yield from map(work, units)
            return
        left = iter(units)
        running: set[Future[T]] = set()
        try:
            while True:
                fresh = islice(left, self._ahead - len(running))
                running |= {self._executor.submit(work, unit) for unit in fresh}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        except BrokenProcessPool as error:
            raise JobError(
                "a process died, of too little memory perhaps; go on with the same command and "
                "fewer --workers"
            ) from error


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
