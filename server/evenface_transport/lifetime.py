"""How long a connection lives, and how it ends without losing a call.

It is asked to end by GOAWAY, twice: the first asks the peer to begin nothing new, the second, once
the peer has heard of it, says which calls were taken. What is left of them is answered.
"""

import time
from enum import Enum, auto
from typing import Final

from evenface_transport.limits import Limits

_GREETING_SECONDS: Final = 20.0
_HEARD_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 2.0


class Step(Enum):
    """What is to be done about a connection."""

    PING = auto()
    LEAVE = auto()
    TAKE_LEAVE = auto()
    REFUSE = auto()
    HANG_UP = auto()


class Lifetime:
    """The times of one connection.

    Args:
        limits: What peers may do.
        max_age: Seconds after which the peer is asked to connect anew.

    Attributes:
        heard: When the peer last said anything.
        used: When a call was last begun or answered.
        has_left: Whether it was told which calls are the last.
    """

    def __init__(self, limits: Limits, max_age: float) -> None:
        self._limits = limits
        self._born = self.heard = self.used = time.monotonic()
        self._max_age = max_age
        self._pinged: float | None = None
        self._left: float | None = None
        self._ended: float | None = None
        self._grace = 0.0
        self.has_left = False

    @property
    def is_leaving(self) -> bool:
        """Whether the peer was asked to end."""
        return self._left is not None

    def hear(self) -> None:
        """The peer says something."""
        self.heard = time.monotonic()
        self._pinged = None

    def ping(self, now: float) -> None:
        """The peer is asked for a sign of life."""
        self._pinged = now

    def leave(self, grace: float | None) -> None:
        """The peer is asked to end; calls get so many seconds, or those of the limits.

        None gets more than its connection would have by its age.
        """
        self._left = time.monotonic()
        self._grace = self._limits.age_grace_seconds if grace is None else grace

    def end(self) -> None:
        """Nothing more is said; the peer may read the last words."""
        self._ended = time.monotonic()

    def next_step(self, now: float, *, is_greeted: bool, is_busy: bool) -> Step | None:
        """Return what time it is for.

        Args:
            now: The time.
            is_greeted: Whether the peer has said the first words of HTTP/2.
            is_busy: Whether there are calls.
        """
        if self._ended is not None:
            return Step.HANG_UP if now - self._ended > _LINGER_SECONDS else None
        if not is_greeted and now - self._born > _GREETING_SECONDS:
            return Step.HANG_UP
        if self._pinged is not None and now - self._pinged > self._limits.answer_seconds:
            return Step.HANG_UP
        return self._step_to_end(now, is_busy=is_busy) or self._step_of_silence(now)

    def _step_to_end(self, now: float, *, is_busy: bool) -> Step | None:
        if self._left is None:
            is_idle = not is_busy and now - self.used > self._limits.idle_seconds
            return Step.LEAVE if is_idle or now - self._born > self._max_age else None
        last = self._born + self._max_age + self._limits.age_grace_seconds
        if now - self._left > self._grace or now > last:
            return Step.REFUSE
        if not self.has_left and now - self._left > _HEARD_SECONDS:
            return Step.TAKE_LEAVE
        return None

    def _step_of_silence(self, now: float) -> Step | None:
        is_silent = self._pinged is None and now - self.heard > self._limits.ping_seconds
        return Step.PING if is_silent else None
