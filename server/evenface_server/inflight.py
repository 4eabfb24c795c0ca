"""Which calls are at work, so that a server closes only when they are done. Transport-free."""

import asyncio
import math
import time
from collections.abc import Callable

from evenface_server.logs import CallRecord

_QUIET_SECONDS = 0.2
_MAX_RESTLESS_SECONDS = 2.0
_POLL_SECONDS = 0.02


class InFlight:
    """The calls that have begun and not ended.

    Args:
        clock: Seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: set[CallRecord] = set()
        self._last_begin = -math.inf

    def begin(self, call: CallRecord) -> float:
        """Note that a call begins; return the time."""
        self._calls.add(call)
        self._last_begin = self._clock()
        return self._last_begin

    def end(self, call: CallRecord) -> None:
        """Note that a call has ended."""
        self._calls.discard(call)

    async def settle(self, seconds: float) -> None:
        """Wait until the calls of this moment have ended and no new ones come, at most `seconds`.

        Callers who will not stop calling are given up on after a moment: they are refused anyway.
        """
        calls, start = frozenset(self._calls), self._clock()
        while (now := self._clock()) < start + seconds:
            restless = (
                now - self._last_begin < _QUIET_SECONDS and now < start + _MAX_RESTLESS_SECONDS
            )
            if not restless and calls.isdisjoint(self._calls):
                return
            await asyncio.sleep(_POLL_SECONDS)
