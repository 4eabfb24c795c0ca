"""Lanes for tests, with sessions that can be held, made to fail, timed and looked into."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from evenface_server.batching import INLINE_SECONDS, Arrays, Lane
from evenface_server.metrics import LaneMetrics, Metrics

from support.patience import PATIENCE


class Clock:
    """Shows the time it is set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Session:
    """Doubles its input; can be held, and fails on values below zero.

    Args:
        clock: Moved on by each run.
        seconds: That a row takes on it.
        fixed: Seconds that each run takes besides.
    """

    def __init__(self, clock: Clock, seconds: float = 0.0, fixed: float = 0.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.fixed = fixed
        self.batches: list[list[float]] = []
        self.threads: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Semaphore(0)

    def run(self, inputs: Arrays) -> Arrays:
        """Run once it is free."""
        (values,) = inputs
        self.batches.append(values[:, 0].tolist())
        self.threads.append(threading.get_ident())
        self.entered.release()
        assert self.free.wait(10)
        self.clock.now += self.fixed + self.seconds * len(values)
        if (values < 0).any():
            raise RuntimeError("the session failed")
        return (values * 2, values + 1)

    async def next_run(self) -> None:
        """Wait until a run begins."""
        await asyncio.to_thread(self.entered.acquire, timeout=10)

    def hold(self) -> None:
        """Let runs begin, but none end."""
        self.free.clear()
        while self.entered.acquire(blocking=False):
            pass


def make_lane(
    session: Session,
    *,
    max_batch_rows: int = 4,
    max_queue_rows: int = 12,
    inline_seconds: float = INLINE_SECONDS,
    metrics: LaneMetrics | None = None,
) -> Lane:
    """Make a lane in front of a session."""
    return Lane(
        session.run,
        max_batch_rows=max_batch_rows,
        max_queue_rows=max_queue_rows,
        label="test",
        metrics=metrics or Metrics().lane("m", "1", "encode"),
        inline_seconds=inline_seconds,
        clock=session.clock,
    )


def rows(*values: float) -> Arrays:
    """Inputs of one column."""
    return (np.array(values, np.float32)[:, None],)


def start(lane: Lane, *values: float, deadline: float | None = None) -> asyncio.Task[Arrays]:
    """Start a call with these rows."""

    async def call() -> Arrays:
        with lane.admit(len(values), deadline) as place:
            return await lane.run(rows(*values), place)

    return asyncio.create_task(call())


async def hold(lane: Lane, session: Session) -> asyncio.Task[Arrays]:
    """Start a call and hold its run, so that what follows has to wait."""
    session.hold()
    blocker = start(lane, 1000)
    await session.next_run()
    return blocker


@contextmanager
def held(lane: Lane) -> Iterator[None]:
    """Let no run of a server's lane that begins meanwhile end before; all go to its thread."""
    run, inline_seconds, free = lane._run, lane._inline_seconds, threading.Event()  # noqa: SLF001

    def wait(inputs: Arrays) -> Arrays:
        assert free.wait(PATIENCE)
        return run(inputs)

    lane._run, lane._inline_seconds = wait, 0.0  # noqa: SLF001
    try:
        yield
    finally:
        free.set()
        lane._run, lane._inline_seconds = run, inline_seconds  # noqa: SLF001
