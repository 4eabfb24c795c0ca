"""What connections and their calls are part of."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from evenface_transport.budget import Budget
from evenface_transport.call import Method
from evenface_transport.limits import Limits
from evenface_transport.status import StatusError


class Host(Protocol):
    """A server, as its connections see it."""

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

    def explain(self, error: StatusError) -> StatusError:
        """Say an error of the transport in the service's own way."""

    def joined(self, connection: Any) -> None:  # noqa: ANN401 - a Connection, which knows this class
        """Note a connection."""

    def lost(self, connection: Any) -> None:  # noqa: ANN401 - as above
        """Forget a connection."""
