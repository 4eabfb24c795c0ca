"""Who gets in: a door that closes for draining, and limits on rows. Transport-free."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evenface_core.errors import QueueFull, ServiceUnavailable

_MIN_RETRY_AFTER = 0.01
_DRAINING_RETRY_AFTER = 1.0


class Door:
    """Lets calls in until it is closed, and knows when the last one has left."""

    def __init__(self) -> None:
        self._closed = False
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside until the block ends.

        Raises:
            ServiceUnavailable: The door is closed.
        """
        if self._closed:
            raise ServiceUnavailable("the server is draining", retry_after=_DRAINING_RETRY_AFTER)
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    def close(self) -> None:
        """Let no one in any more."""
        self._closed = True

    async def empty(self) -> None:
        """Wait until no one is inside."""
        await self._empty.wait()


class Gate:
    """Admits rows up to a limit.

    Args:
        label: What is behind it, for messages.
        max_rows: Rows admitted and not yet answered at most.
        seconds_for: Estimates how long a number of rows takes.
        on_change: Told the number of rows inside whenever it changes.
    """

    def __init__(
        self,
        label: str,
        max_rows: int,
        *,
        seconds_for: Callable[[int], float],
        on_change: Callable[[int], None],
    ) -> None:
        self._label = label
        self._max_rows = max_rows
        self._seconds_for = seconds_for
        self._on_change = on_change
        self.rows = 0

    @contextmanager
    def admit(self, rows: int) -> Iterator[None]:
        """Hold `rows` until the block ends, however it ends.

        Raises:
            QueueFull: There is no room now.
        """
        self._check(rows)
        self._change(rows)
        try:
            yield
        finally:
            self._change(-rows)

    def _check(self, rows: int) -> None:
        excess = self.rows + rows - self._max_rows
        if excess > 0:
            raise QueueFull(
                f"{self._label}: {self.rows} rows are queued; limit {self._max_rows}",
                retry_after=max(_MIN_RETRY_AFTER, self._seconds_for(excess)),
            )

    def _change(self, rows: int) -> None:
        self.rows += rows
        self._on_change(self.rows)
