"""A gRPC server for asyncio: connections, their limits, and how they end."""

import asyncio
import logging
import math
import random
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from evenface_transport.budget import Budget
from evenface_transport.call import Method
from evenface_transport.connection import Connection
from evenface_transport.host import Guest
from evenface_transport.limits import Limits
from evenface_transport.reader import BUFFER_BYTES
from evenface_transport.refused import Refused
from evenface_transport.status import Code, StatusError

_LOG = logging.getLogger(__name__)
_TICK_SECONDS: Final = 0.05
_LEAVING_SECONDS: Final = 0.01
_HANDSHAKE_SECONDS: Final = 20.0
_AGE_JITTER: Final = 0.1
# For peers to read the last words, and for handlers to notice that they were cancelled.
_LAST_SECONDS: Final = 1.0


class Server:
    """Answers gRPC calls on connections that it is given.

    Args:
        methods: What can be called, by path "/package.Service/Method".
        limits: What peers may do.
        explain: Says errors in the service's own way, those of the transport too.
        tls: Called for each connection; None for plain text. The context has to offer "h2" by ALPN.
        on_lost: Told whenever a connection is gone.
        on_refused: Told why a handshake failed, where one of both ends refused the other.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        limits: Limits,
        *,
        explain: Callable[[StatusError], StatusError] = lambda error: error,
        tls: Callable[[], ssl.SSLContext] | None = None,
        on_lost: Callable[[], None] = lambda: None,
        on_refused: Callable[[ssl.SSLError], None] = lambda _: None,
    ) -> None:
        self.methods = methods
        self.limits = limits
        self.budget = Budget(limits.max_held_bytes)
        self.tasks: set[asyncio.Task[None]] = set()
        self.explain = explain
        self.refused: Refused | None = None
        # One for all: what is received is looked at, and copied where needed, at once.
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self._tls = tls
        self._on_lost = on_lost
        self._on_refused = on_refused
        self._connections: set[Guest] = set()
        self._beginning: set[Guest] = set()
        self._thinned: set[Guest] = set()
        self._is_leaving = False
        self._ticker = asyncio.create_task(self._tick())
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def connections(self) -> int:
        """How many are open, but for those that were asked to go elsewhere."""
        return len(self._connections) - len(self._thinned)

    async def adopt(self, connected: socket.socket) -> None:
        """Speak with the peer of a connected socket, which is closed where that cannot begin.

        Returns once the peer can be spoken with: with TLS, that takes as long as the peer does.
        """
        if self._is_leaving or self._count() >= self.limits.max_connections:
            connected.close()
            return
        connection = self._connection()
        self._beginning.add(connection)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                connected,
                ssl=self._tls() if self._tls else None,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
            )
        except OSError as error:
            _LOG.debug("connection failed: %s", error)
            connected.close()
            if isinstance(error, ssl.SSLError):
                self._on_refused(error)
        finally:
            self._beginning.discard(connection)

    def _count(self) -> int:
        return len(self._connections) + len(self._beginning)

    def _connection(self) -> Connection:
        age = self.limits.max_age_seconds * random.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)  # noqa: S311 - spreads load
        return Connection(self, age)

    def joined(self, connection: Guest) -> None:
        """Look after a connection."""
        self._beginning.discard(connection)
        self._connections.add(connection)
        self._empty.clear()
        if self._is_leaving:
            connection.leave(math.inf)

    def lost(self, connection: Guest) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._thinned.discard(connection)
        if not self._connections:
            self._empty.set()
        self._on_lost()

    def thin_out(self, count: int) -> None:
        """Ask so many peers to connect anew, so that others may have them; no call is cut off."""
        for connection in islice(self._connections - self._thinned, count):
            self._thinned.add(connection)
            connection.leave(math.inf)

    async def leave(self) -> None:
        """Take no more connections, and ask all peers to call elsewhere, which costs no call.

        Returns once all of them know which of their calls are the last: those are answered, and
        what comes after them their libraries send elsewhere by themselves.
        """
        self._is_leaving = True
        for connection in list(self._connections):
            connection.leave(math.inf)
        while not all(one.has_left for one in self._connections):  # noqa: ASYNC110 - each by itself
            await asyncio.sleep(_LEAVING_SECONDS)

    async def stop(self, grace: float) -> None:
        """Ask all peers to leave; after `grace` seconds end what is still at work.

        Another call in the meantime ends it sooner.
        """
        self._is_leaving = True
        for connection in list(self._connections):
            connection.leave(grace)
        await self._emptied(grace)
        for connection in list(self._connections):
            connection.refuse(StatusError(Code.UNAVAILABLE, "the server is shutting down"))
        await self._emptied(_LAST_SECONDS)
        for connection in list(self._connections):
            connection.hang_up()
        await self._emptied(_LAST_SECONDS)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_LAST_SECONDS)
        self._ticker.cancel()

    async def _emptied(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for connection in list(self._connections):
                try:
                    connection.tick(now)
                except Exception:  # noqa: BLE001 - one bad connection must not end all
                    _LOG.exception("a connection failed")
                    connection.hang_up()
