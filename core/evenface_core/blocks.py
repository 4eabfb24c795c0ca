"""Rows worked through a block at a time, on all cores where there are many. Needs numpy alone."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")

_BLOCK = 2**22  # values
_BULK = 2**24  # values from which on threads pay; a request to a server has fewer


def blocks_of(rows: int, size: int) -> list[slice]:
    """Cut rows of `size` values into blocks."""
    step = max(1, _BLOCK // size)
    return [slice(start, start + step) for start in range(0, rows, step)]


def in_threads(work: Callable[[slice], T], rows: int, size: int) -> Iterator[T]:
    """Work through blocks of rows, and give what comes of them, in their order.

    Args:
        work: Called with the rows of a block.
        rows: N.
        size: Values in a row.
    """
    blocks = blocks_of(rows, size)
    if rows * size < _BULK:
        yield from map(work, blocks)
        return
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="bins") as threads:
        coming: deque[Future[T]] = deque()
        for block in blocks:
            coming.append(threads.submit(work, block))
            if len(coming) > 2 * workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


class Scratch:
    """Arrays that are used again from block to block: fresh memory costs as much as arithmetic."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array with anything in it, until the same name is asked for again."""
        size = int(np.prod(shape))
        kept = self._kept.get(name)
        if kept is None or kept.size < size or kept.dtype != dtype:
            kept = self._kept[name] = np.empty(size, dtype)
        return kept[:size].reshape(shape)
