"""Health on a port of its own, in plain text, for whoever watches over the process.

A kubelet's probes speak neither TLS nor tokens. This port tells them no more than two words, and
answers while models open, while the service is overloaded and while it drains.
"""

from collections.abc import Callable, Mapping
from typing import Final

from evenface_transport import Call, Code, Method, StatusError
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from evenface_server.settings import Settings
from evenface_server.sideport import SidePort

_Status = health_pb2.HealthCheckResponse.ServingStatus
_CHECK: Final = "/grpc.health.v1.Health/Check"
READINESS: Final = "readiness"
LIVENESS: Final = "liveness"


class ProbeServer(SidePort):
    """Answers `grpc.health.v1.Health/Check` for "readiness" (also "") and "liveness".

    Liveness is SERVING as long as this process's event loop runs: it depends on no model, no
    worker and no load, as the supervisor replaces workers itself.

    Args:
        settings: Where to listen.
        is_ready: Whether models serve and requests are taken.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(self, settings: Settings, is_ready: Callable[[], bool]) -> None:
        self._tells: Final[Mapping[str, Callable[[], bool]]] = {
            "": is_ready,
            READINESS: is_ready,
            LIVENESS: lambda: True,
        }
        host, port = settings.health_host, settings.health_port or 0
        super().__init__("health_port", host, port, {_CHECK: Method(unary=self._check)})

    async def _check(self, data: bytes, call: Call) -> bytes:
        del call
        try:
            service = health_pb2.HealthCheckRequest.FromString(data).service
        except DecodeError as error:
            raise StatusError(Code.INVALID_ARGUMENT, "no HealthCheckRequest") from error
        tells = self._tells.get(service)
        if tells is None:
            known = ", ".join(name for name in self._tells if name)
            raise StatusError(Code.NOT_FOUND, f"no service '{service[:100]}'; there are {known}")
        status = _Status.SERVING if tells() else _Status.NOT_SERVING
        reply: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return reply
