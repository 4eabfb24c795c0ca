"""A port beside the service's own, for operators: few peers, small messages, plain text."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final

import evenface_transport as transport

from evenface_server.listening import Listener

# Whoever only holds a connection must not keep probes out, or the process would be ended as dead.
_LIMITS: Final = transport.Limits(max_connections=100, max_message_bytes=2**20, idle_seconds=5.0)
# For replies on their way.
_CLOSING_SECONDS: Final = 1.0


class SidePort:
    """Takes its address when made; answers once opened.

    Args:
        setting: That names the port, for messages.
        host: Address to listen on.
        port: 0 for any free one.
        methods: What can be called, by path.
        explain: Says errors in the service's own way.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(
        self,
        setting: str,
        host: str,
        port: int,
        methods: Mapping[str, transport.Method],
        *,
        explain: Callable[[transport.StatusError], transport.StatusError] = lambda error: error,
    ) -> None:
        self._listener = Listener(setting, host, port, self._deliver)
        self._server = transport.Server(methods, _LIMITS, explain=explain)
        self._adopting: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens, "host:port"."""
        return self._listener.address

    def open(self) -> None:
        """Begin to answer.

        Raises:
            ConfigError: Another program has taken the address.
        """
        self._listener.open()

    async def close(self) -> None:
        """Answer no more; calls that were begun end."""
        self._listener.close()
        await self._server.stop(_CLOSING_SECONDS)

    def _deliver(self, connected: socket.socket) -> None:
        task = asyncio.create_task(self._server.adopt(connected))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)
