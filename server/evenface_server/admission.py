"""Who gets in: a door that closes for draining, and limits on rows and time. Transport-free."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from evenface_core.errors import DeadlineExpired, InvalidInput, QueueFull, ServiceUnavailable

from evenface_server.pace import Clock, Pace

_MIN_RETRY_AFTER = 0.01
_DRAINING_RETRY_AFTER = 1.0
# Calls of more than a turn leave one row in so many to the others.
_SMALL_SHARE = 4
# What a predicted answer must come ahead of its deadline, and how much longer than predicted making
# a call ready may take: a machine's pace changes by so much from one moment to the next, and of
# answers that should come just in time half would come too late.
_SPARE_SECONDS = 0.002
_SPARE_SHARE = 0.2
# Where rows are cheap, calls come in numbers: refusing many of them takes much of the cores, and
# what is in the queue has to wait for up to so much longer.
_SPARE_SHARE_OF_CHEAP = 3.0
_CHEAP_ROW_SECONDS = 0.005
# A busy loop finds a request up to a turn after it came, and sends its reply up to a turn late.
_SPARE_TURNS = 2


class Door:
    """Lets calls in until it is closed, and knows when the last one has left."""

    def __init__(self) -> None:
        self._closed = False
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self) -> Self:
        """Go in, to leave at the end of the `with` block that this is the context of.

        Raises:
            ServiceUnavailable: The door is closed.
        """
        if self._closed:
            raise ServiceUnavailable("the server is draining", retry_after=_DRAINING_RETRY_AFTER)
        return self

    def __enter__(self) -> None:
        if not self._inside:
            self._empty.clear()
        self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    @property
    def is_closed(self) -> bool:
        """Whether no one is let in any more."""
        return self._closed

    def close(self) -> None:
        """Let no one in any more."""
        self._closed = True

    async def empty(self) -> None:
        """Wait until no one is inside."""
        await self._empty.wait()


class Place:
    """Room that one call holds behind a gate, given back at the end of a `with` block.

    Attributes:
        rows: Of the call.
        waiting: Of these, how many no run has taken yet.
        deadline: When the call's answer is of no use any more; None for never.
    """

    __slots__ = ("_gate", "deadline", "rows", "waiting")

    def __init__(self, gate: "Gate", rows: int, deadline: float | None) -> None:
        self._gate = gate
        self.rows = self.waiting = rows
        self.deadline = deadline

    def take(self, rows: int) -> None:
        """Note that a run takes so many of the rows."""
        self._gate.turn(self, self.waiting - rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gate.leave(self)


class Gate:
    """Admits calls while there is room for their rows, and time before their deadlines.

    Calls run first come, first served, up to `turn_rows` of each; the rest of a larger call queues
    up anew. So a call waits for a turn of each of those before it, and a small one never for all
    the rows of a large one; what it waits is predicted from that.

    Args:
        label: What is behind it, for messages.
        max_rows: Rows admitted and not yet answered at most.
        turn_rows: Rows that run together at most.
        pace: How long turns take where others follow.
        own_pace: How long a call takes that is alone; doubted when it keeps all calls out.
        on_change: Told the number of rows inside whenever it changes.
        clock: Seconds that only ever grow.

    Attributes:
        rows: Admitted and not yet answered.
        busy_until: When the run at hand should end.
        lag: Seconds of the last turn, where another followed.
    """

    def __init__(
        self,
        label: str,
        max_rows: int,
        *,
        turn_rows: int,
        pace: Pace,
        own_pace: Pace,
        on_change: Callable[[int], None] = lambda _: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._label = label
        self._max_rows = max_rows
        self._max_large_rows = max_rows - max_rows // _SMALL_SHARE
        self._turn_rows = turn_rows
        self._pace = pace
        self._own_pace = own_pace
        self._on_change = on_change
        self._clock = clock
        self._places: set[Place] = set()
        self._large_rows = 0
        self._next_turns = 0  # rows that run before those of a call that comes now
        self.rows = 0
        self.busy_until = -math.inf
        self.lag = 0.0
        self._coming = 0  # calls that were let come and have not been admitted yet

    def admit(self, rows: int, deadline: float | None = None, *, ready_in: float = 0.0) -> Place:
        """Hold room for a call.

        Args:
            rows: Of the call, ≥ 1.
            deadline: When its answer is of no use any more; None for never.
            ready_in: Seconds until it will be ready to run.

        Raises:
            QueueFull: There is no room, or too little time.
            DeadlineExpired: There is no time at all.
        """
        error = self._refusal(rows, deadline, ready_in)
        if error is not None:
            try:
                raise error
            finally:
                del error  # else its traceback, and the request with it, would hold itself
        place = Place(self, rows, deadline)
        self._places.add(place)
        self._next_turns += min(rows, self._turn_rows)
        self._change(rows)
        return place

    def refusal(self, deadline: float | None) -> QueueFull | None:
        """Return why a call that begins to come in now would be refused, however small it is.

        None lets it come: it counts as a row until what came with it is admitted.

        Args:
            deadline: As in `admit`.
        """
        if self._places or self._coming:
            error = self._refusal(1, deadline, 0.0, coming=self._coming)
            if isinstance(error, QueueFull):
                return error
        self._coming += 1
        if self._coming == 1:
            # After all that came at once was asked about, and just before its handlers admit it.
            asyncio.get_running_loop().call_soon(self._forget_coming)
        return None

    def _forget_coming(self) -> None:
        self._coming = 0

    def turn(self, place: Place, waiting: int) -> None:
        """Note how many rows of a call still wait."""
        most = self._turn_rows
        self._next_turns += min(waiting, most) - min(place.waiting, most)
        place.waiting = waiting

    def leave(self, place: Place) -> None:
        """Take a call's room back."""
        self.turn(place, 0)
        self._places.discard(place)
        self._change(-place.rows)

    def _change(self, rows: int) -> None:
        self.rows += rows
        if abs(rows) > self._turn_rows:
            self._large_rows += rows
        self._on_change(self.rows)

    def _refusal(
        self, rows: int, deadline: float | None, ready_in: float, *, coming: int = 0
    ) -> QueueFull | DeadlineExpired | None:
        full = self._lack_of_room(rows, coming)
        if full is not None or deadline is None:
            return full
        return self._lack_of_time(rows, deadline, ready_in, coming)

    def _lack_of_room(self, rows: int, coming: int) -> QueueFull | None:
        excess = self.rows + coming + rows - self._max_rows
        if excess > 0:
            problem = f"{self.rows} rows are queued; limit {self._max_rows}"
        elif rows <= self._turn_rows or not self._large_rows:
            return None
        else:
            excess = self._large_rows + rows - self._max_large_rows
            problem = (
                f"{self._large_rows} rows of calls of more than {self._turn_rows} are queued; "
                f"limit {self._max_large_rows}"
            )
        if excess <= 0:
            return None
        retry_after = max(_MIN_RETRY_AFTER, self._seconds(excess))
        return QueueFull(f"{self._label}: {problem}", retry_after=retry_after)

    def _lack_of_time(
        self, rows: int, deadline: float, ready_in: float, coming: int
    ) -> QueueFull | DeadlineExpired | None:
        now = self._clock()
        left = deadline - now
        if left <= 0:
            return DeadlineExpired("the deadline passed before the request was admitted")
        if self._places or coming:
            before = self._rows_before(rows) + coming
            wait = max(self.busy_until - now, 0.0) + self._seconds(before)
            own = self._seconds(rows)
        else:
            wait, own = 0.0, self._own_pace.seconds(rows, self._runs(rows))
        needed = max(wait, ready_in) + own
        ready_by = self._spared(wait, ready_in)
        lack = ready_by + own + self.lag * _SPARE_TURNS - left
        if lack <= 0 or not needed:
            return None
        # Whether the call would be let in if it took no time at all: else trying tells nothing.
        if not self._places and not coming and left > ready_by:
            self._own_pace.doubt()
        return QueueFull(
            f"{self._label}: the answer would take about {_shown(needed)} ms, and the deadline "
            f"is in {_shown(left)} ms",
            retry_after=max(_MIN_RETRY_AFTER, lack / (1 + self._spare_share)),
        )

    def _spared(self, wait: float, ready_in: float) -> float:
        """Seconds after which a call should be ready to run even where things go badly."""
        waited = wait * (1 + self._spare_share)
        return max(waited, ready_in * (1 + _SPARE_SHARE)) + _SPARE_SECONDS

    @property
    def _spare_share(self) -> float:
        """How much longer than predicted a wait may become, as a share of it."""
        is_cheap = self._pace.per_row <= _CHEAP_ROW_SECONDS
        return _SPARE_SHARE_OF_CHEAP if is_cheap else _SPARE_SHARE

    def _rows_before(self, rows: int) -> int:
        """Rows of other calls that will run before the last row of a new call does."""
        if rows <= self._turn_rows:
            return self._next_turns
        most = self._turn_rows * self._runs(rows)
        return sum(min(place.waiting, most) for place in self._places)

    def _seconds(self, rows: int) -> float:
        return self._pace.seconds(rows, self._runs(rows))

    def _runs(self, rows: int) -> int:
        return -(-rows // self._turn_rows)


def _shown(seconds: float) -> int:
    """Milliseconds with two digits that count: refusals of the same moment are worded alike."""
    whole = max(1, round(1000 * seconds))
    return round(whole, 2 - len(str(whole)))


class Room:
    """Bytes that requests grow to beyond what was sent, against a limit.

    Args:
        limit: Bytes of all requests together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    @contextmanager
    def hold(self, field: str, size: int) -> Iterator[None]:
        """Hold bytes until the block ends.

        Args:
            field: What asks for them, for errors.
            size: Number of bytes.

        Raises:
            InvalidInput: They would not even fit alone.
            QueueFull: They do not fit now.
        """
        if size > self._limit:
            raise InvalidInput(
                field,
                f"{size} bytes to work on; limit {self._limit}",
                value=size,
                limit=self._limit,
            )
        if self.held + size > self._limit:
            raise QueueFull(
                f"{self.held} bytes of images and histograms are held; limit {self._limit}",
                retry_after=_MIN_RETRY_AFTER,
            )
        self.held += size
        try:
            yield
        finally:
            self.held -= size
