"""Threads for work on single images, so that the event loop stays free. Transport-free."""

import asyncio
import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Workshop:
    """A pool of threads.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
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
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(self._pool, function, index, item)
            for index, item in enumerate(items)
        ]
        try:
            return await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()

    def stop(self) -> None:
        """Let go of the threads, without waiting for work in progress."""
        self._pool.shutdown(wait=False, cancel_futures=True)
