"""Calls in the queue, and the parts of them that run together. Transport-free."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from evenface_core.errors import DeadlineExpired
from numpy.typing import NDArray

from evenface_server.admission import Place
from evenface_server.pace import Clock

Arrays = tuple[NDArray[Any], ...]
# Makes a call's arrays when its batch runs: for what takes little, and saves a way to a thread and
# back for each call, and all the work for those that are dropped.
Prepare = Callable[[], Arrays]


@dataclass(slots=True, eq=False)
class Entry:
    """One call's rows, and the results of those that ran.

    Attributes:
        inputs: Of the call; empty once its caller has gone.
        place: The room that it holds.
        done: Gets the outputs, or why there are none.
        queued_at: When it came.
        requests: How many requests it stands for.
        taken: Rows that batches have taken.
        turn: Rows that may still be taken before it is others' turn; 0 for a turn anew.
        answered: Rows that have run.
        results: Where a result of several parts gathers.
    """

    inputs: Arrays | Prepare
    place: Place
    done: asyncio.Future[Arrays]
    queued_at: float
    requests: int = 1
    taken: int = 0
    turn: int = 0
    answered: int = 0
    results: Arrays = ()

    def add(self, outputs: Arrays) -> None:
        """Take a part of the result; hand over the whole once it is complete."""
        rows, start = self.place.rows, self.answered
        self.answered += len(outputs[0])
        if self.done.done():
            return
        if self.answered - start == rows:
            self.done.set_result(outputs)
            return
        if not start:
            self.results = tuple(np.empty((rows, *a.shape[1:]), a.dtype) for a in outputs)
        for whole, part in zip(self.results, outputs, strict=True):
            whole[start : self.answered] = part
        if self.answered == rows:
            self.done.set_result(self.results)

    def fail(self, error: Exception) -> None:
        """End with an error, unless it has ended already."""
        if not self.done.done():
            self.done.set_exception(error)

    def is_dropped(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        deadline = self.place.deadline
        if deadline is not None and now >= deadline:
            self.fail(DeadlineExpired("the deadline passed while the request was queued"))
        return self.done.done()


class Part(NamedTuple):
    """Rows of an entry that run in one batch.

    Attributes:
        entry: Whose they are.
        inputs: Of all of the entry, or what makes them.
        start: The first row.
        stop: The one after the last.
    """

    entry: Entry
    inputs: Arrays | Prepare
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.stop - self.start

    @property
    def is_ready(self) -> bool:
        """Whether its inputs were there when the batch was formed."""
        return not callable(self.inputs)

    def arrays(self) -> Arrays:
        """Return the inputs of these rows, made if need be."""
        inputs = self.inputs
        if callable(inputs):
            inputs = self.entry.inputs = inputs()
        if self.rows == len(inputs[0]):
            return inputs
        return tuple(array[self.start : self.stop] for array in inputs)


class Outcome(NamedTuple):
    """What became of a batch.

    Attributes:
        parts: Those that ran.
        outputs: Of their rows, in order.
        failures: The others.
        preparing_seconds: That making the inputs took.
        seconds: That the session took.
    """

    parts: Sequence[Part]
    outputs: Arrays
    failures: Sequence[tuple[Part, Exception]]
    preparing_seconds: float
    seconds: float

    def settle(self) -> int:
        """Tell the callers, and return the number of rows that ran."""
        for part, error in self.failures:
            part.entry.fail(error)
        start = 0
        for part in self.parts:
            stop = start + part.rows
            part.entry.add(tuple([array[start:stop] for array in self.outputs]))
            start = stop
        return start


def execute(parts: Sequence[Part], run: Callable[[Arrays], Arrays], clock: Clock) -> Outcome:
    """Run a batch; whatever is raised belongs to those whose inputs or whose run raised it."""
    began = clock()
    ready, inputs, failures = _make_ready(parts)
    started = clock()
    try:
        outputs = run(_join(inputs)) if ready else ()
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to these callers
        return Outcome((), (), [(part, error) for part in ready] + failures, 0.0, 0.0)
    return Outcome(ready, outputs, failures, started - began, clock() - started)


def _make_ready(
    parts: Sequence[Part],
) -> tuple[list[Part], list[Arrays], list[tuple[Part, Exception]]]:
    """Make the arrays of all parts; those whose arrays cannot be made fail alone."""
    ready: list[Part] = []
    inputs: list[Arrays] = []
    failures: list[tuple[Part, Exception]] = []
    for part in parts:
        try:
            inputs.append(part.arrays())
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this caller
            failures.append((part, error))
        else:
            ready.append(part)
    return ready, inputs, failures


def _join(parts: Sequence[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
