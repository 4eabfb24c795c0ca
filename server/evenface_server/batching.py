"""Batches what gathers while a session is busy. Transport-free.

Work-conserving: a free session takes at once what is there, and what arrives meanwhile forms the
next batch, so that batches grow with the load and nothing ever waits for a timer. First come,
first served, but for calls larger than a batch: their further rows queue up anew, so that small
calls wait for a batch of theirs, not for all. A lane serves one function of one model, so that only
arrays of one shape meet.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from evenface_core.errors import DeadlineExpired
from numpy.typing import NDArray

from evenface_server.admission import Gate
from evenface_server.metrics import LaneMetrics

Arrays = tuple[NDArray[Any], ...]
Clock = Callable[[], float]

_FORGETTING = 0.8  # weight of the past in the running estimate of seconds a row


@dataclass
class _Entry:
    """One call's rows: those not yet taken into a batch, and the results of those that were."""

    inputs: Arrays
    rows: int
    deadline: float | None
    done: asyncio.Future[Arrays]
    queued_at: float
    taken: int = 0
    results: list[Arrays] = field(default_factory=list)

    def take(self, rows: int) -> Arrays:
        start, self.taken = self.taken, self.taken + rows
        return tuple(array[start : self.taken] for array in self.inputs)

    def add(self, outputs: Arrays) -> None:
        """Keep a part of the result; hand over the whole once it is complete."""
        self.results.append(outputs)
        if self.taken == self.rows and not self.done.done():
            self.done.set_result(_join(self.results))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True)
class _Batch:
    entries: tuple[_Entry, ...]
    inputs: tuple[Arrays, ...]  # of each entry
    rows: int


class Lane:
    """The queue and the thread of one session.

    Args:
        run: Runs the session; called in the lane's own thread, one batch at a time.
        max_batch_rows: Rows that run together at most; longer calls are split.
        max_queue_rows: Rows admitted and not answered at most.
        label: Name for messages and for the thread.
        metrics: Where to count.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        *,
        max_batch_rows: int,
        max_queue_rows: int,
        label: str,
        metrics: LaneMetrics,
        clock: Clock = time.monotonic,
    ) -> None:
        self._run = run
        self._max_batch_rows = max_batch_rows
        self._metrics = metrics
        self._clock = clock
        self._waiting: deque[_Entry] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=label)
        self._seconds_per_row = 0.0
        self._gate = Gate(
            label,
            max_queue_rows,
            seconds_for=lambda rows: rows * self._seconds_per_row,
            on_change=metrics.queue_rows.set,
        )

    @property
    def rows(self) -> int:
        """Rows admitted and not yet answered."""
        return self._gate.rows

    def admit(self, rows: int) -> AbstractContextManager[None]:
        """Hold room for `rows` while a call is prepared, runs and is answered.

        Raises:
            QueueFull: There is no room.
        """
        return self._gate.admit(rows)

    async def run(self, inputs: Arrays, deadline: float | None) -> Arrays:
        """Run rows of an admitted call, batched with others'.

        Cancelling the call drops the rows that no batch has taken yet.

        Args:
            inputs: Arrays with the same first dimension, ≥ 1.
            deadline: Time of `clock` after which the rows are dropped; None for never.

        Returns:
            The outputs for these rows.

        Raises:
            DeadlineExpired: The deadline passed before all rows were taken.
            Exception: What the session raised, for every call in that batch.
        """
        entry = _Entry(
            inputs,
            len(inputs[0]),
            deadline,
            asyncio.get_running_loop().create_future(),
            self._clock(),
        )
        self._waiting.append(entry)
        if self._pump is None:
            self._pump = asyncio.create_task(self._run_all())
        try:
            return await entry.done
        finally:
            entry.inputs = ()  # a dropped entry pins no images while it waits to be passed over

    def stop(self) -> None:
        """Let go of the thread, without waiting for a run in progress."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run_all(self) -> None:
        """Run batches until nothing waits."""
        try:
            while (batch := self._form_batch()).rows:
                await self._run_batch(batch)
        finally:
            self._pump = None

    def _form_batch(self) -> _Batch:
        entries: list[_Entry] = []
        inputs: list[Arrays] = []
        room = self._max_batch_rows
        now = self._clock()
        while room and self._waiting:
            entry = self._waiting.popleft()
            if self._is_dropped(entry, now):
                continue
            rows = min(room, entry.rows - entry.taken)
            if entry.taken == 0:
                self._metrics.queue_wait.observe(now - entry.queued_at)
            entries.append(entry)
            inputs.append(entry.take(rows))
            room -= rows
            if entry.taken < entry.rows:
                self._waiting.append(entry)
        return _Batch(tuple(entries), tuple(inputs), self._max_batch_rows - room)

    def _is_dropped(self, entry: _Entry, now: float) -> bool:
        if entry.deadline is not None and now >= entry.deadline:
            entry.fail(DeadlineExpired("the deadline passed while the request was queued"))
        return entry.done.done()

    async def _run_batch(self, batch: _Batch) -> None:
        started = self._clock()
        loop = asyncio.get_running_loop()
        try:
            outputs = await loop.run_in_executor(self._thread, self._run_joined, batch.inputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to these callers
            for entry in batch.entries:
                entry.fail(error)
            return
        self._measure(batch.rows, self._clock() - started)
        start = 0
        for entry, inputs in zip(batch.entries, batch.inputs, strict=True):
            rows = len(inputs[0])
            entry.add(tuple(array[start : start + rows] for array in outputs))
            start += rows

    def _run_joined(self, inputs: tuple[Arrays, ...]) -> Arrays:
        return self._run(_join(inputs))

    def _measure(self, rows: int, seconds: float) -> None:
        self._metrics.batch_rows.observe(rows)
        self._metrics.inference.observe(seconds)
        self._metrics.images.inc(rows)
        past = self._seconds_per_row or seconds / rows
        self._seconds_per_row = _FORGETTING * past + (1 - _FORGETTING) * seconds / rows


def _join(parts: Sequence[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
