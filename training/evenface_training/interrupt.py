"""Ctrl-C and SIGTERM: a wish that the loop grants between two steps, an orderly end elsewhere."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminable() -> Iterator[None]:
    """While entered, SIGTERM ends the program as Ctrl-C does, so that no half-written file stays.

    Works in the main thread alone, as signal handlers do.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class StopRequest:
    """While entered, the first SIGINT or SIGTERM is only noted; a second one ends at once.

    Works in the main thread alone, as signal handlers do.

    Args:
        echo: Seconds for which signals after the first one count as the same: after a Ctrl-C,
            torchrun sends one more to processes that the terminal has told already.
    """

    def __init__(self, echo: float = 0.0) -> None:
        self._echo, self._since = echo, 0.0
        self._requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether someone has asked to stop."""
        return self._requested

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._requested and time.monotonic() >= self._since + self._echo:
            raise KeyboardInterrupt
        if not self._requested:
            self._requested, self._since = True, time.monotonic()
