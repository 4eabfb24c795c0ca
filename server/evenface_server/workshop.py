"""Threads for work on single images, so that the event loop stays free. Transport-free.

Calls take turns: one of a thousand large images does not hold up one of a single small image.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# After so long a thread goes on with another call's items, if there are any.
_TURN_SECONDS = 0.005


class Workshop:
    """A pool of threads.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="images")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in the pool."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def each(self, function: Callable[[int, T], R], items: Iterable[T]) -> list[R]:
        """Call a function on (index, item) for every item, in any order.

        Returns:
            The results in the order of the items.

        Raises:
            Exception: The first that a call raised; calls that have not begun are dropped then,
                as they are on cancellation.
        """
        job = _Job(self._pool, function, tuple(items))
        job.start(self._threads)
        return await asyncio.wrap_future(job.done)

    def stop(self) -> None:
        """Let go of the threads, without waiting for work in progress."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Job(Generic[T, R]):
    """The items of one call. Each thread that works on them goes to the queue's end in between."""

    def __init__(
        self, pool: ThreadPoolExecutor, function: Callable[[int, T], R], items: Sequence[T]
    ) -> None:
        self.done: Future[list[R]] = Future()
        self._pool = pool
        self._function = function
        self._items = items
        self._results: dict[int, R] = {}
        self._begun = 0
        self._settled = False
        self._lock = threading.Lock()

    def start(self, threads: int) -> None:
        """Let up to that many threads work on the items."""
        if not self._items:
            self._settle()
        for _ in self._items[:threads]:
            self._pool.submit(self._turn)

    def _turn(self) -> None:
        end = time.monotonic() + _TURN_SECONDS
        try:
            while (index := self._take()) is not None:
                self._results[index] = self._function(index, self._items[index])
                if len(self._results) == len(self._items):
                    self._settle()
                elif time.monotonic() >= end:
                    self._pool.submit(self._turn)
                    return
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self._settle(error)

    def _take(self) -> int | None:
        with self._lock:
            if self._settled or self.done.cancelled() or self._begun == len(self._items):
                return None
            self._begun += 1
            return self._begun - 1

    def _settle(self, error: BaseException | None = None) -> None:
        with self._lock:
            if self._settled:
                return
            self._settled = True
        if not self.done.set_running_or_notify_cancel():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result([self._results[index] for index in range(len(self._items))])
