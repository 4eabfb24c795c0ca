"""A gRPC server for asyncio: connections, their limits, and how they end."""

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from evenface_transport.budget import Budget
from evenface_transport.call import Method
from evenface_transport.connection import Connection
from evenface_transport.limits import Limits
from evenface_transport.status import Code, StatusError

_TICK_SECONDS: Final = 0.05
_HANDSHAKE_SECONDS: Final = 20.0
_AGE_JITTER: Final = 0.1


class Server:
    """Answers gRPC calls on connections that it is given.

    Args:
        methods: What can be called, by path "/package.Service/Method".
        limits: What peers may do.
        explain: Says errors of the transport in the service's own way.
        tls: Called for each connection; None for plain text.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        limits: Limits,
        *,
        explain: Callable[[StatusError], StatusError] = lambda error: error,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.methods = methods
        self.limits = limits
        self.budget = Budget(limits.max_held_bytes)
        self.tasks: set[asyncio.Task[None]] = set()
        self.explain = explain
        self._tls = tls
        self._connections: set[Connection] = set()
        self._ticker = asyncio.create_task(self._tick())
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def adopt(self, connected: socket.socket) -> None:
        """Speak with the peer of a connected socket, which is closed where that cannot begin."""
        if len(self._connections) >= self.limits.max_connections:
            connected.close()
            return
        loop = asyncio.get_running_loop()
        with suppress(OSError, ssl.SSLError, ConnectionError, TimeoutError):
            await loop.connect_accepted_socket(
                self._connection,
                connected,
                ssl=self._tls() if self._tls else None,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
            )

    def _connection(self) -> Connection:
        age = self.limits.max_age_seconds * random.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)  # noqa: S311 - spreads load
        return Connection(self, age)

    def joined(self, connection: Connection) -> None:
        """Note a connection."""
        self._connections.add(connection)
        self._empty.clear()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def stop(self, grace: float) -> None:
        """Ask all peers to leave; after `grace` seconds end what is still at work."""
        for connection in list(self._connections):
            connection.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._empty.wait()
        for connection in list(self._connections):
            connection.refuse(StatusError(Code.UNAVAILABLE, "the server is shutting down"))
        self._ticker.cancel()

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.tick(now, now - last)
            last = now
