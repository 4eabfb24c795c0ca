"""The admin service on a port of its own."""

import asyncio
import socket
from typing import Final

import evenface_transport as transport
from evenface.v1 import admin_service_pb2

from evenface_server.access.buckets import Buckets
from evenface_server.access.callers import Access
from evenface_server.access.tokens import watch_tokens
from evenface_server.access.watch import Watcher
from evenface_server.admin.service import AdminService
from evenface_server.faults import Faults
from evenface_server.listening import Listener
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.rpc import Rpcs
from evenface_server.settings import Settings

_ADMIN: Final = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
_LIMITS: Final = transport.Limits(max_connections=100, max_message_bytes=2**20)
_MAX_FIELDS: Final = 10_000  # versions with a weight
# For replies on their way.
_CLOSING_SECONDS: Final = 1.0


class AdminServer:
    """Takes its address when made; answers once opened.

    Args:
        settings: Where to listen, and the tokens that callers must show, if any.
        curator: Carries orders through.
        metrics: Where calls are counted.
        log: Gets a line about each call.

    Raises:
        ConfigError: The address or the tokens cannot be used.
    """

    def __init__(
        self, settings: Settings, curator: Curator, metrics: Metrics, log: CallLog
    ) -> None:
        tokens = watch_tokens(settings)
        self._watcher = Watcher([] if tokens is None else [tokens])
        access = Access(tokens, None, Buckets(None), metrics.caller)
        faults = Faults(metrics)
        rpcs = Rpcs(metrics, faults, log, access, _MAX_FIELDS)
        methods = rpcs.methods(_ADMIN, AdminService(curator))
        self._listener = Listener(
            "admin_port", settings.admin_host, settings.admin_port or 0, self._deliver
        )
        self._server = transport.Server(methods, _LIMITS, explain=faults.explain)
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
        """Answer no more; orders that were given are carried through."""
        self._listener.close()
        self._watcher.stop()
        await self._server.stop(_CLOSING_SECONDS)

    def _deliver(self, connected: socket.socket) -> None:
        task = asyncio.create_task(self._server.adopt(connected))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)
