"""What connections and their calls are part of."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from evenface_transport.budget import Budget
from evenface_transport.call import Method
from evenface_transport.limits import Limits
from evenface_transport.refused import Refused
from evenface_transport.status import StatusError


class Guest(Protocol):
    """A connection, as its server sees it."""

    @property
    def has_left(self) -> bool:
        """Whether its peer was told which calls are the last."""

    def tick(self, now: float) -> None:
        """Look after time."""

    def leave(self, grace: float | None = None) -> None:
        """End once all calls are answered, or after `grace` seconds."""

    def refuse(self, error: StatusError) -> None:
        """End now, and all calls with an error."""

    def hang_up(self) -> None:
        """End without a word."""


class Host(Protocol):
    """A server, as its connections see it.

    Attributes:
        refused: How the last call was refused where others, of any connection, may be alike.
    """

    refused: Refused | None

    @property
    def limits(self) -> Limits:
        """What peers may do."""

    @property
    def budget(self) -> Budget:
        """Bytes that all connections hold."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """What can be called, by path."""

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The handlers at work."""

    @property
    def buffer(self) -> memoryview:
        """Where connections receive; what is in it is gone when they have looked at it."""

    def explain(self, error: StatusError) -> StatusError:
        """Say an error of the transport in the service's own way."""

    def joined(self, connection: Guest) -> None:
        """Look after a connection."""

    def lost(self, connection: Guest) -> None:
        """Forget a connection."""
