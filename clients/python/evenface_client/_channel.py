"""How a channel to a server is set up: retries, keepalive, message sizes, TLS, request ids."""

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from evenface_client._token import is_local
from evenface_client.errors import InvalidRequest

REQUEST_ID_KEY = "x-request-id"
MAX_RETRIES = 4  # gRPC caps the attempts of a call at five

_SERVICES = ("evenface.v1.FaceService", "evenface.v1.ModelService")
_MILLISECONDS = 1000


@dataclass(frozen=True)
class TLS:
    """How to speak to a server with TLS.

    Attributes:
        ca: PEM file with the certificates to trust; None trusts those that gRPC comes with.
        certificate: PEM file with the client's own certificate, for servers that ask for one.
        key: PEM file with its private key.
        server_name: The name to expect in the server's certificate, where it is not the address.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            InvalidRequest: A file cannot be read, or one of certificate and key is missing.
        """
        if (self.certificate is None) != (self.key is None):
            raise InvalidRequest("tls", "certificate and key belong together; one is missing")
        return grpc.ssl_channel_credentials(
            root_certificates=_read("tls.ca", self.ca),
            private_key=_read("tls.key", self.key),
            certificate_chain=_read("tls.certificate", self.certificate),
        )


@dataclass(frozen=True)
class Setup:
    """Everything that a channel follows from.

    Attributes:
        server: Address, "host:port" or any gRPC target.
        tls: None for plain text.
        retries: How often a failed call is tried again, 0 to 4.

    Raises:
        InvalidRequest: The address is empty or the number of retries is out of range.
    """

    server: str
    tls: TLS | None
    retries: int

    def __post_init__(self) -> None:
        if not self.server:
            raise InvalidRequest("server", "empty address; pass host:port")
        if not 0 <= self.retries <= MAX_RETRIES:
            raise InvalidRequest("retries", f"{self.retries} is outside 0 to {MAX_RETRIES}")

    def options(self) -> list[tuple[str, Any]]:
        """Channel options."""
        options: list[tuple[str, Any]] = [
            ("grpc.service_config", json.dumps(service_config(self.retries))),
            # The server's limits rule; requests are cut to them before they are sent.
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            # Find a server that restarts soon; gRPC would wait up to two minutes.
            ("grpc.initial_reconnect_backoff_ms", _MILLISECONDS // 5),
            ("grpc.max_reconnect_backoff_ms", _MILLISECONDS),
            # One worker of a server has a connection: the clients of a process share none.
            ("grpc.use_local_subchannel_pool", 1),
            # Notice a connection that died silently while a call waits on it.
            ("grpc.keepalive_time_ms", 60 * _MILLISECONDS),
            ("grpc.keepalive_timeout_ms", 20 * _MILLISECONDS),
        ]
        if is_local(self.server):
            options.append(
                ("grpc.enable_http_proxy", 0)
            )  # which would be asked for our own address
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def open(self) -> grpc.Channel:
        """A channel for `Client`."""
        if self.tls is None:
            return grpc.insecure_channel(self.server, self.options())
        return grpc.secure_channel(self.server, self.tls.credentials(), self.options())

    def open_async(self) -> grpc.aio.Channel:
        """A channel for `AsyncClient`; belongs to the running event loop."""
        if self.tls is None:
            return grpc.aio.insecure_channel(self.server, self.options())
        return grpc.aio.secure_channel(self.server, self.tls.credentials(), self.options())


def service_config(retries: int) -> dict[str, Any]:
    """The gRPC service config: what is tried again, and how addresses are used.

    A server's pushback (`grpc-retry-pushback-ms`) takes the place of the backoff. Every method
    only computes, so all of them may be repeated.

    Args:
        retries: How often a failed call is tried again.
    """
    method: dict[str, Any] = {"name": [{"service": service} for service in _SERVICES]}
    if retries:
        method["retryPolicy"] = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.2s",
            "maxBackoff": "5s",
            "backoffMultiplier": 2,
            # CANCELLED as a server says it is a call that met it closing (grpc/grpc#41785).
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
        }
    # Requests take turns over all addresses of a name, such as the pods of a headless service.
    return {"methodConfig": [method], "loadBalancingConfig": [{"round_robin": {}}]}


def new_request_id() -> str:
    """A fresh id, 32 hexadecimal digits."""
    return uuid.uuid4().hex


def _read(field: str, path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(field, error.strerror or "cannot be read", source=str(path)) from error
