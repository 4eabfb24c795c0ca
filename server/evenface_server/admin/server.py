"""The admin service on a port of its own."""

from typing import Final

from evenface.v1 import admin_service_pb2

from evenface_server.access.buckets import Buckets
from evenface_server.access.callers import Access
from evenface_server.access.tokens import watch_tokens
from evenface_server.access.watch import Watcher
from evenface_server.admin.service import AdminService
from evenface_server.faults import Faults
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.rpc import Rpcs
from evenface_server.settings import Settings
from evenface_server.sideport import SidePort

_ADMIN: Final = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
_MAX_FIELDS: Final = 10_000  # versions with a weight


class AdminServer(SidePort):
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
        access = Access(tokens, None, Buckets(None), metrics.caller, metrics.caller_refused)
        faults = Faults(metrics)
        rpcs = Rpcs(metrics, faults, log, access, _MAX_FIELDS)
        methods = rpcs.methods(_ADMIN, AdminService(curator))
        host, port = settings.admin_host, settings.admin_port or 0
        super().__init__("admin_port", host, port, methods, explain=faults.explain)

    async def close(self) -> None:
        """Answer no more; orders that were given are carried through."""
        self._watcher.stop()
        await super().close()
