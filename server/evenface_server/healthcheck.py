"""Asks the server of this container whether it is ready: `python -m evenface_server.healthcheck`.

For container engines that run a program as a health check. It asks the port that the variable
EVENFACE_HEALTH_PORT names. Exit codes: 0 ready, 1 not ready or no answer, 2 no port named.
"""

import os
import sys
from typing import Final

import grpc
from evenface_core.cli import guarded
from evenface_core.errors import ConfigError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from evenface_server.listening import address_of
from evenface_server.options import load_settings
from evenface_server.probes import READINESS
from evenface_server.settings import variable_of

_SECONDS: Final = 3.0


def main() -> int:
    """Ask; the exit code."""
    return guarded(_ask)


def _ask() -> int:
    settings = load_settings([], os.environ)
    if settings.health_port is None:
        raise ConfigError(f"{variable_of('health_port')} is not set: there is no port to ask")
    host = settings.health_host
    address = address_of("127.0.0.1" if host == "0.0.0.0" else host, settings.health_port)  # noqa: S104 - all, this one too
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=READINESS)
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            print(f"{address}: {error.details()}", file=sys.stderr)  # noqa: T201
            return 1
    return 0 if reply.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
