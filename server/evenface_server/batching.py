"""Batches what gathers while a session is busy. Transport-free.

Work-conserving: a free session takes at once what is there, and what arrives meanwhile forms the
next batch, so that batches grow with the load and nothing ever waits for a timer. First come,
first served, but for calls larger than a batch: their further rows queue up anew, so that small
calls wait for a batch of theirs, not for all. A lane serves one function of one model, so that only
arrays of one shape meet.

Batches run on the event loop where they are short, and are kept short where that costs little:
handing one to a thread and back would cost as much as running an image, and a thread that competes
with a busy loop for a core gets too little of it. What takes longer runs in the lane's thread, so
that the loop stays responsive.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from evenface_core.errors import QueueFull

from evenface_server.admission import Gate, Place
from evenface_server.metrics import LaneMetrics
from evenface_server.pace import Clock, Pace
from evenface_server.parts import Arrays, Entry, Outcome, Part, Prepare, execute

__all__ = ["INLINE_SECONDS", "Arrays", "Lane", "Prepare"]

# Going to a thread and back costs 0.03 to 0.15 ms, a few percent of such a run; and what waits for
# the loop meanwhile, replies, refusals and pings, may wait a few times as long.
INLINE_SECONDS = 0.005
# Runs are cut short up to this share of what does not depend on their rows.
_MOST_FIXED = 0.2
_ROUNDING = 1e-9
# The rows of one call may take so many times as long: to cut a few of them off costs a run more.
_WHOLE_CALL = 1.5
# The turn of the loop, counted from a batch's, in which the next one runs: in the first the last
# batch's calls are answered and new requests come in; in the second these reach the lane, and the
# replies go out at its end.
_GATHERING_TURNS = 3


class Lane:
    """The queue and the thread of one session.

    Args:
        run: Runs the session, one batch at a time; called on the loop or in the lane's thread.
        max_batch_rows: Rows that run together at most; longer calls are split.
        max_queue_rows: Rows admitted and not answered at most.
        label: Name for messages and for the thread.
        metrics: Where to count; can be read, too.
        inline_seconds: Time of a batch up to which it runs on the loop; 0 for none, as where a
            device works and the loop would only wait.
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
        inline_seconds: float = INLINE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._run = run
        self.max_batch_rows = max_batch_rows
        self.metrics = metrics
        self._inline_seconds = inline_seconds
        self._clock = clock
        self._waiting: deque[Entry] = deque()
        self._is_pumping = False
        self._has_cut = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=label)
        self._running = Pace()  # of the session alone
        self._alone = Pace()  # of both, doubted where it keeps all calls out
        self._preparing = Pace()  # of inputs that are made when their batch runs
        self._turning = Pace()  # from batch to batch: with all that the loop does in between
        self._last: tuple[float, int] | None = None  # when the last batch was formed, and its rows
        self._gate = Gate(
            label,
            max_queue_rows,
            turn_rows=max_batch_rows,
            pace=self._turning,
            own_pace=self._alone,
            on_change=metrics.queue_rows.set,
            clock=clock,
        )

    @property
    def rows(self) -> int:
        """Rows admitted and not yet answered."""
        return self._gate.rows

    def admit(self, rows: int, deadline: float | None = None, *, ready_in: float = 0.0) -> Place:
        """Hold room for `rows` while a call is prepared, runs and is answered.

        Args:
            rows: Of the call, ≥ 1.
            deadline: Time of `clock` after which nobody waits; None for never.
            ready_in: Seconds that preparing the call should take.

        Raises:
            QueueFull: There is no room, or the call would not be answered before its deadline.
            DeadlineExpired: The deadline has passed.
        """
        return self._gate.admit(rows, deadline, ready_in=ready_in)

    def refusal(self, deadline: float | None) -> QueueFull | None:
        """Return why a call that begins to come in now would be refused, however small it is.

        None lets it come. Refusing it before it is here costs a fraction of what `admit` takes.

        Args:
            deadline: As in `admit`.
        """
        return self._gate.refusal(deadline)

    async def run(self, inputs: Arrays | Prepare, place: Place, requests: int = 1) -> Arrays:
        """Run the rows of an admitted call, batched with others'.

        Cancelling the call drops the rows that no batch has taken yet.

        Args:
            inputs: Arrays with the place's number of rows; or what makes them, called at most once,
                by any thread.
            place: The call's.
            requests: How many requests the call stands for, each of which is counted.

        Returns:
            The outputs for these rows.

        Raises:
            DeadlineExpired: The deadline passed before all rows were taken.
            Exception: What the session raised, for every call in that batch; or what making the
                inputs raised.
        """
        loop = asyncio.get_running_loop()
        entry = Entry(inputs, place, loop.create_future(), self._clock(), requests)
        self._waiting.append(entry)
        if not self._is_pumping:
            self._is_pumping = True
            _after_turns(_GATHERING_TURNS, self._pump_here)
        try:
            return await entry.done
        finally:
            entry.inputs = ()  # a dropped entry pins no images while it waits to be passed over

    def stop(self) -> None:
        """Let go of the thread, without waiting for a run in progress."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _pump_here(self) -> None:
        self._pump(self._run_here)

    def _pump(self, run_here: Callable[[Sequence[Part]], object]) -> None:
        """Run a batch of what waits, if anything does."""
        self._is_pumping = False
        now = self._clock()
        parts, rows = self._form_batch(now)
        self._note_turn(now, rows)
        if not parts:
            return
        self._is_pumping = True
        self._gate.busy_until = now + self._turning.seconds(rows)
        if self._is_short(parts):
            run_here(parts)
        else:
            self._run_in_thread(parts)

    def _form_batch(self, now: float) -> tuple[Sequence[Part], int]:
        parts: list[Part] = []
        room, seconds = self.max_batch_rows, math.inf
        while room and self._waiting:
            entry = self._waiting[0]
            if entry.is_dropped(now):
                self._waiting.popleft()
                continue
            row_seconds = self._row_seconds(entry)
            if not parts:
                seconds = self._most_seconds(row_seconds)
            entry.turn = entry.turn or self.max_batch_rows
            rows = min(room, entry.turn, entry.place.rows - entry.taken)
            if rows * row_seconds > seconds:
                if not self._cuts():
                    seconds = math.inf
                elif parts:
                    break  # rows that came together stay so: to join and to split them costs copies
                else:
                    rows = _even_part(rows, rows * row_seconds / seconds)
                    room = rows  # and no more after these
            if rows:
                parts.append(self._take(entry, rows, now))
                seconds -= rows * row_seconds if seconds < math.inf else 0.0
            room -= rows
        return parts, sum(part.rows for part in parts)

    def _take(self, entry: Entry, rows: int, now: float) -> Part:
        """Take rows of the first that waits; what is left of it may have to queue up anew."""
        start = entry.taken
        if not start:
            self.metrics.queue_wait.observe(now - entry.queued_at, entry.requests)
        entry.taken += rows
        entry.turn -= rows
        entry.place.take(rows)
        if entry.taken == entry.place.rows:
            self._waiting.popleft()
        elif not entry.turn:
            self._waiting.rotate(-1)
        return Part(entry, entry.inputs, start, entry.taken)

    def _most_seconds(self, row_seconds: float) -> float:
        """Seconds that the rows of a batch may take: so few that it runs on the loop, if it can.

        Args:
            row_seconds: That the first row takes.
        """
        fixed, most = self._running.fixed, self._inline_seconds
        is_cheap = fixed <= _MOST_FIXED * most
        return most - fixed if is_cheap and 0 < row_seconds <= most - fixed else math.inf

    def _cuts(self) -> bool:
        """Whether to cut a batch that would take longer.

        Where all have been of one size, cut or not, every other is not, to learn what either costs.
        """
        self._has_cut = self._running.is_line or not self._has_cut
        return self._has_cut

    def _row_seconds(self, entry: Entry) -> float:
        """Seconds for a row; infinite where it has to be made ready and nobody knows how long."""
        if not callable(entry.inputs):
            return self._running.per_row
        return self._running.per_row + (self._preparing.per_row or math.inf)

    def _is_short(self, parts: Sequence[Part]) -> bool:
        """Whether a batch should take little enough to run on the loop."""
        rows = [part.rows * self._row_seconds(part.entry) for part in parts]
        most = self._inline_seconds * (1 + _ROUNDING)
        if len(parts) == 1 and self._most_seconds(rows[0] / parts[0].rows) < math.inf:
            most *= _WHOLE_CALL
        return 0 < sum(rows) + self._running.fixed <= most

    def _run_here(self, parts: Sequence[Part]) -> None:
        self._settle(execute(parts, self._run, self._clock))
        _after_turns(_GATHERING_TURNS, self._pump_here)

    def _run_in_thread(self, parts: Sequence[Part]) -> None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, execute, parts, self._run, self._clock)
        running.add_done_callback(self._on_run)

    def _on_run(self, running: asyncio.Future[Outcome]) -> None:
        """Keep the session busy; a short batch lets the replies to this one go first."""
        self._settle(running.result())
        self._pump(lambda parts: _after_turns(_GATHERING_TURNS, partial(self._run_here, parts)))

    def _settle(self, outcome: Outcome) -> None:
        rows = outcome.settle()
        if rows:
            self._measure(outcome, rows)
        if not self._waiting:
            self._note_turn(self._clock(), 0)

    def _measure(self, outcome: Outcome, rows: int) -> None:
        self._running.note(rows, outcome.seconds)
        self._alone.note(rows, outcome.preparing_seconds + outcome.seconds)
        made = sum(part.rows for part in outcome.parts if not part.is_ready)
        if made:
            self._preparing.note(made, outcome.preparing_seconds)
        self.metrics.batch_rows.observe(rows)
        self.metrics.inference.observe(outcome.seconds)
        self.metrics.images.inc(rows)

    def _note_turn(self, now: float, rows: int) -> None:
        """Note that a batch is formed, or, with 0 rows, that none is for now."""
        if self._last is not None:
            formed_at, last_rows = self._last
            self._turning.note(last_rows, now - formed_at)
            self._gate.lag = now - formed_at if rows else 0.0
        if rows:
            self._last = now, rows
        else:
            self._last = None
            self._gate.busy_until = now


def _even_part(rows: int, times: float) -> int:
    """Return how many of a call's rows run together where all take so many times what they may."""
    return -(-rows // math.ceil(times / _WHOLE_CALL))


def _after_turns(turns: int, call: Callable[[], None]) -> None:
    """Call something in the loop's next turn, or in one after that."""
    loop = asyncio.get_running_loop()
    if turns == 1:
        loop.call_soon(call)
    else:
        loop.call_soon(_after_turns, turns - 1, call)
