"""Errors to `google.rpc.Status`: one table for all RPCs."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from evenface_core.errors import (
    DeadlineExpired,
    EvenfaceError,
    FunctionUnsupported,
    InvalidInput,
    ModelNotFound,
    OrderRefused,
    PermissionDenied,
    QueueFull,
    RateLimited,
    ServiceUnavailable,
    Unauthenticated,
)
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "evenface"
INTERNAL_TEXT = "internal error; the server's log has the cause under this request id"

# Anything that is not listed is INTERNAL, and its text stays in the log.
_CODES: Mapping[type[EvenfaceError], int] = {
    InvalidInput: code_pb2.INVALID_ARGUMENT,
    ModelNotFound: code_pb2.NOT_FOUND,
    FunctionUnsupported: code_pb2.FAILED_PRECONDITION,
    QueueFull: code_pb2.RESOURCE_EXHAUSTED,
    ServiceUnavailable: code_pb2.UNAVAILABLE,
    DeadlineExpired: code_pb2.DEADLINE_EXCEEDED,
    Unauthenticated: code_pb2.UNAUTHENTICATED,
    PermissionDenied: code_pb2.PERMISSION_DENIED,
    RateLimited: code_pb2.RESOURCE_EXHAUSTED,
    OrderRefused: code_pb2.FAILED_PRECONDITION,
}
# All that a call may be refused for.
REASONS = (EvenfaceError.reason, *(error.reason for error in _CODES))
# All of it travels in the trailing metadata, of which gRPC's clients take 8 KiB.
_MAX_TEXT_BYTES = 800
_MAX_FACT_BYTES = 200
_DIGITS = 6  # of a millisecond, as clocks have; what is beyond comes from binary fractions


# Where a google.rpc.Status travels in the trailing metadata.
DETAILS = "grpc-status-details-bin"


class Fault(NamedTuple):
    """An error as the caller sees it.

    Attributes:
        status: google.rpc.Status with its details.
        reason: That of its ErrorInfo.
        expected: Whether the error is one of those that evenface raises on purpose.
    """

    status: status_pb2.Status
    reason: str
    expected: bool


def fault_of(error: Exception) -> Fault:
    """Return what the caller is told of an error."""
    code = _CODES.get(type(error)) if isinstance(error, EvenfaceError) else None
    if code is None or not isinstance(error, EvenfaceError):
        info = error_details_pb2.ErrorInfo(reason=EvenfaceError.reason, domain=DOMAIN)
        return Fault(_status(code_pb2.INTERNAL, INTERNAL_TEXT, info), info.reason, expected=False)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=_metadata(error)
    )
    return Fault(_status(code, str(error), info, *_detail(error)), error.reason, expected=True)


def pushback_of(error: Exception) -> tuple[tuple[str, str], ...]:
    """Return the metadata that tells gRPC's retries when to come back, where it has to wait."""
    if not isinstance(error, QueueFull | RateLimited):
        return ()
    # Rounded up: who comes back a millisecond early is refused again.
    milliseconds = math.ceil(round(error.retry_after * 1000, _DIGITS))
    return (("grpc-retry-pushback-ms", str(milliseconds)),)


def unexplained(code: int, text: str) -> status_pb2.Status:
    """Return the status of an error that only gRPC knows."""
    info = error_details_pb2.ErrorInfo(reason=code_pb2.Code.Name(code), domain=DOMAIN)
    return _status(code, text, info)


def _status(code: int, text: str, *details: Message) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=_cut(text, _MAX_TEXT_BYTES))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _metadata(error: EvenfaceError) -> dict[str, str]:
    if not isinstance(error, InvalidInput):
        return {}
    facts: dict[str, object] = {
        "field": error.field,
        "index": error.index,
        "value": error.value,
        "limit": error.limit,
    }
    return {
        name: _cut(str(fact), _MAX_FACT_BYTES) for name, fact in facts.items() if fact is not None
    }


def _detail(error: EvenfaceError) -> tuple[Message, ...]:
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(error.field, _MAX_FACT_BYTES),
            description=_cut(error.problem, _MAX_TEXT_BYTES),
        )
        return (error_details_pb2.BadRequest(field_violations=[violation]),)
    if isinstance(error, QueueFull | RateLimited | ServiceUnavailable):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after * 1e9))
        return (retry,)
    return ()


def _cut(text: str, limit: int) -> str:
    """The beginning of a text, in at most `limit` bytes of UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")
