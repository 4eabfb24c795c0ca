"""What the two transports share: the options of a call, and stubs by the name of a method."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from evenface.v1 import face_service_pb2_grpc, model_service_pb2_grpc

from evenface_client._channel import REQUEST_ID_KEY
from evenface_client._inputs import Place
from evenface_client._status import FailedCall, from_call
from evenface_client.errors import Cancelled, EvenfaceClientError, InvalidRequest

# Requests of one call that are in flight at once: the server works while the next is prepared.
IN_FLIGHT = 4
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CallOptions:
    """How the requests of one call are sent.

    Attributes:
        timeout: Seconds that each may take.
        request_id: Id that all of them carry.
        wait_for_ready: Whether to wait for a connection rather than fail.
        credentials: Metadata that shows who calls.
        context: Metadata by which the server's spans become part of the caller's trace.

    Raises:
        InvalidRequest: The timeout is not positive.
    """

    timeout: float
    request_id: str
    wait_for_ready: bool = False
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    context: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise InvalidRequest("timeout", f"{self.timeout} s is not above 0")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of each request."""
        return ((REQUEST_ID_KEY, self.request_id), *self.credentials, *self.context)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for a unary stub."""
        return {
            "timeout": self.timeout,
            "metadata": self.metadata,
            "wait_for_ready": self.wait_for_ready,
        }


def stubs(channel: grpc.Channel | grpc.aio.Channel) -> Callable[[str], Any]:
    """Look RPCs up by name, of both services."""
    face = face_service_pb2_grpc.FaceServiceStub(channel)
    model = model_service_pb2_grpc.ModelServiceStub(channel)
    methods = {**vars(face), **vars(model)}
    return methods.__getitem__


def failure(error: BaseException, place: Place, request_id: str) -> EvenfaceClientError:
    """Turn what gRPC raised into an exception of `errors`."""
    if isinstance(error, grpc.RpcError):
        # Every RpcError that a call raises is the call; the stubs do not say so.
        return from_call(cast("FailedCall", error), place, request_id)
    return Cancelled("the call was cancelled", request_id=request_id)
