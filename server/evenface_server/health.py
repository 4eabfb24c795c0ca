"""Health by service, as grpc.health.v1 defines it (grpc.io/docs/guides/health-checking)."""

# ruff: noqa: N802 - the RPCs' names are those of the .proto file

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from evenface_core.errors import InvalidInput
from evenface_transport import Call, Code, StatusError
from grpc_health.v1 import health_pb2

_Status = health_pb2.HealthCheckResponse.ServingStatus


class HealthService:
    """Answers whether services are served.

    Args:
        services: Their full names; the server as a whole, "", is always known.

    Attributes:
        is_draining: Whether it says NOT_SERVING.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), health_pb2.HealthCheckResponse.SERVING)
        self._changed = asyncio.Event()
        self.is_draining = self._is_closed = False

    def drain(self) -> None:
        """Say NOT_SERVING of everything from now on."""
        self.is_draining = True
        self._statuses = dict.fromkeys(self._statuses, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._wake()

    def close(self) -> None:
        """End the watches, which otherwise never end."""
        self._is_closed = True
        self._wake()

    async def Check(self, request: Any, context: Call) -> Any:  # noqa: ANN401 - no types
        """Say the status of a service."""
        del context
        status = self._statuses.get(request.service)
        if status is None:
            raise StatusError(Code.NOT_FOUND, f"no service '{request.service[:100]}'")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, requests: AsyncIterator[Any], context: Call) -> AsyncGenerator[Any, None]:
        """Say the status of a service now and whenever it changes."""
        del context
        request = await anext(requests, None)
        if request is None:
            raise InvalidInput("request", "missing: a watch begins with the service to watch")
        service = request.service
        last = None
        while not self._is_closed:
            status = self._statuses.get(service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
                last = status
            else:
                await self._changed.wait()

    def _wake(self) -> None:
        """Let all watches look again."""
        self._changed.set()
        self._changed = asyncio.Event()
