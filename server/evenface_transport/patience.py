"""How much of what costs work and brings none a peer may do.

Pings, settings, resets, empty frames: each is cheap, and none of them can be refused. What a peer
does of them is bounded by what it is let do at once, by time, and by the answers that it is given.
"""

import time
from typing import Final

from evenface_transport.frames import ErrorCode, ProtocolError

_AT_ONCE: Final = 10_000.0
_PER_SECOND: Final = 1_000.0


class Patience:
    """What is left of it for one peer."""

    def __init__(self) -> None:
        self._left = _AT_ONCE
        self._since = time.monotonic()

    def spend(self, cost: float = 1.0) -> None:
        """Bear with something.

        Raises:
            ProtocolError: It was too much.
        """
        self._left -= cost
        if self._left < 0.0:
            self._recover()

    def earn(self, gain: float) -> None:
        """The peer did what it is here for."""
        self._left = min(_AT_ONCE, self._left + gain)

    def _recover(self) -> None:
        now = time.monotonic()
        self.earn((now - self._since) * _PER_SECOND)
        self._since = now
        if self._left < 0.0:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames to no purpose")
