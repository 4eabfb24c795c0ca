"""Threads for work on single images, so that the event loop stays free. Transport-free.

Calls take turns: one of a thousand large images does not hold up one of a single small image.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, TypeVar

from evenface_core.errors import DeadlineExpired

from evenface_server.pace import Clock, Pace

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# After so long a thread goes on with another call's items, if there are any.
_TURN_SECONDS = 0.005


class Workshop:
    """A pool of threads.

    Args:
        threads: How many.
        clock: Seconds that only ever grow.
    """

    def __init__(self, threads: int, clock: Clock = time.monotonic) -> None:
        self._threads = threads
        self._meter = _Meter(clock)
        self._jobs: set[_Job[Any, Any]] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="images")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in the pool."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def each(
        self,
        function: Callable[[int, T], R],
        items: Iterable[T],
        *,
        work: int,
        deadline: float | None = None,
    ) -> list[R]:
        """Call a function on (index, item) for every item, in any order.

        Args:
            function: What to call.
            items: On what.
            work: How much there is to do in all, in pixels.
            deadline: Time of `clock` after which no further item is begun; None for never.

        Returns:
            The results in the order of the items.

        Raises:
            DeadlineExpired: The deadline passed before all items were begun.
            Exception: The first that a call raised; calls that have not begun are dropped then,
                as they are on cancellation.
        """
        job = _Job(self._pool, function, tuple(items), work, deadline, self._meter)
        self._jobs.add(job)
        try:
            return await asyncio.wrap_future(job.start(self._threads))
        finally:
            self._jobs.discard(job)

    def seconds_for(self, work: int) -> float:
        """Predict how soon so many pixels would be done if they came now, taking turns.

        An idle workshop is not predicted, so that there is always something to learn from.
        """
        if not self._jobs:
            return 0.0
        before = sum(min(job.work_left, work) for job in self._jobs)
        return self._meter.seconds(before + work) / self._threads

    def stop(self) -> None:
        """Let go of the threads, without waiting for work in progress."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Meter:
    """Learns how long a pixel takes; several threads may teach it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._pace = Pace()
        self._lock = threading.Lock()

    def seconds(self, pixels: float) -> float:
        return self._pace.seconds(pixels, runs=0)

    def note(self, pixels: int, seconds: float) -> None:
        with self._lock:
            self._pace.note(pixels, seconds)


class _Job(Generic[T, R]):
    """The items of one call. Each thread that works on them goes to the queue's end in between."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        function: Callable[[int, T], R],
        items: Sequence[T],
        work: int,
        deadline: float | None,
        meter: _Meter,
    ) -> None:
        # Until the job is settled: an error would hold the job, and what it works on, by its
        # traceback, and so itself.
        self._done: Future[list[R]] | None = Future()
        self._pool = pool
        self._function = function
        self._items = items
        self._work = work
        self._deadline = deadline
        self._meter = meter
        self._results: dict[int, R] = {}
        self._begun = 0
        self._lock = threading.Lock()

    @property
    def work_left(self) -> float:
        """Pixels of the items that have not been begun."""
        return self._work * (1 - self._begun / len(self._items)) if self._items else 0.0

    def start(self, threads: int) -> "Future[list[R]]":
        """Let up to that many threads work on the items; return what gets the results."""
        assert self._done is not None  # noqa: S101 - it has not begun
        done = self._done
        if not self._items:
            self._settle()
        for _ in self._items[:threads]:
            self._pool.submit(self._turn)
        return done

    def _turn(self) -> None:
        try:
            self._work_on()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self._settle(error)

    def _work_on(self) -> None:
        start = now = self._meter.clock()
        count = 0
        while (index := self._take(now)) is not None:
            self._results[index] = self._function(index, self._items[index])
            count, now = count + 1, self._meter.clock()
            if now >= start + _TURN_SECONDS:
                break
        if count:
            self._meter.note(max(1, count * self._work // len(self._items)), now - start)
        if len(self._results) == len(self._items):
            self._settle()
        elif index is not None:
            self._pool.submit(self._turn)

    def _take(self, now: float) -> int | None:
        with self._lock:
            if self._done is None or self._done.cancelled() or self._begun == len(self._items):
                return None
            if self._deadline is not None and now >= self._deadline:
                raise DeadlineExpired("the deadline passed while the images waited to be prepared")
            self._begun += 1
            return self._begun - 1

    def _settle(self, error: BaseException | None = None) -> None:
        with self._lock:
            done, self._done = self._done, None
        if done is None or not done.set_running_or_notify_cancel():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result([self._results[index] for index in range(len(self._items))])
