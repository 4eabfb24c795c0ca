"""A pool that keeps what each pass took."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from evenface_batch.weighting_pool import Pool
from evenface_batch.weighting_store import Unit

T = TypeVar("T")


class TimedPool(Pool):
    """A pool that keeps the seconds of each pass.

    Attributes:
        passes: By name, CPU and wall seconds and bytes held at most so far, in their order.
    """

    def __init__(self, executor: ProcessPoolExecutor | None, workers: int) -> None:
        super().__init__(executor, workers)
        self.passes: list[dict[str, Any]] = []

    def run(self, work: Callable[[Unit], T], units: Sequence[Unit], title: str) -> Iterator[T]:
        """As a pool does."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield from super().run(work, units, title)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.passes.append({"name": title, "cpu": cpu, "wall": wall, "peak_bytes": peak_bytes()})
        print(f"{title}: {cpu:,.2f} s of CPU, {wall:,.2f} s", flush=True)


def peak_bytes() -> int:
    """The most that this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
