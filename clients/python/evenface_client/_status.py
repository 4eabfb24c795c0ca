"""google.rpc.Status and failed calls to the exceptions of `errors`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from evenface_client import errors
from evenface_client._inputs import Place

_DETAILS_KEY = "grpc-status-details-bin"
_INDEXED = re.compile(r"(?P<field>[^\[]*)\[(?P<index>\d+)\]")
_MESSAGE_SIZE = "larger than max"
# What grpc.aio says, with INTERNAL, where a message could not be written because the connection had
# just gone and the call's own status had not come yet.
_NOT_WRITTEN = "Internal error from Core"
_CODES = {code.value[0]: code for code in grpc.StatusCode}

_BY_CODE: dict[grpc.StatusCode, type[errors.EvenfaceClientError]] = {
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Unsupported,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
    grpc.StatusCode.UNAUTHENTICATED: errors.AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDenied,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
}
_RETRYABLE: dict[grpc.StatusCode, type[errors.TryAgain]] = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
}


class FailedCall(Protocol):
    """What grpc.Call and grpc.aio.AioRpcError have in common once a call has failed."""

    def code(self) -> grpc.StatusCode:
        """The status."""

    def details(self) -> str | None:
        """The message."""

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Metadata after the reply."""


@dataclass(frozen=True)
class _Details:
    """What the details of a status say.

    Attributes:
        reason: Of ErrorInfo.
        field: Of the first violation in BadRequest, without its index.
        problem: Its description.
        index: Its index.
        retry_after: Of RetryInfo, in seconds.
    """

    reason: str = ""
    field: str = ""
    problem: str = ""
    index: int | None = None
    retry_after: float | None = None


def from_call(call: FailedCall, place: Place, request_id: str) -> errors.EvenfaceClientError:
    """Turn a failed call into an exception.

    Args:
        call: The failed call.
        place: Which of the caller's items the request held.
        request_id: Id of the request.
    """
    status = _attached_status(call)
    details = _read(status) if status is not None else _Details()
    return _build(_code_of(call), call.details() or "", details, place, request_id)


def from_status(
    status: status_pb2.Status, place: Place, request_id: str
) -> errors.EvenfaceClientError:
    """Turn the status in a reply of a stream into an exception; arguments as `from_call`."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _build(code, status.message, _read(status), place, request_id)


def _code_of(call: FailedCall) -> grpc.StatusCode:
    not_written = call.code() is grpc.StatusCode.INTERNAL and call.details() == _NOT_WRITTEN
    return grpc.StatusCode.UNAVAILABLE if not_written else call.code()


def _attached_status(call: FailedCall) -> status_pb2.Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _read(status: status_pb2.Status) -> _Details:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    details = _Details()
    for detail in status.details:
        if detail.Unpack(info):
            details = replace(details, reason=info.reason)
        elif detail.Unpack(bad) and bad.field_violations:
            details = _with_violation(details, bad.field_violations[0])
        elif detail.Unpack(retry):
            delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            details = replace(details, retry_after=delay)
    return details


def _with_violation(
    details: _Details, violation: error_details_pb2.BadRequest.FieldViolation
) -> _Details:
    found = _INDEXED.match(violation.field)
    field = found["field"] if found else violation.field
    # The field travels as "images.encoded.data" or "images.raw"; callers know it as "images".
    field = "images" if field.startswith("images.") else field
    index = int(found["index"]) if found else None
    return replace(details, field=field, index=index, problem=violation.description)


def _build(
    code: grpc.StatusCode, message: str, details: _Details, place: Place, request_id: str
) -> errors.EvenfaceClientError:
    reason = details.reason or code.name
    if code is grpc.StatusCode.INVALID_ARGUMENT or _MESSAGE_SIZE in message:
        return _invalid(code, message, details, place, request_id)
    if code in _RETRYABLE:
        return _RETRYABLE[code](
            message,
            retry_after=details.retry_after,
            reason=reason,
            code=code,
            request_id=request_id,
        )
    kind = _BY_CODE.get(code, errors.InternalServerError)
    return kind(message or code.name, reason=reason, code=code, request_id=request_id)


def _invalid(
    code: grpc.StatusCode, message: str, details: _Details, place: Place, request_id: str
) -> errors.InvalidRequest:
    index = None if details.index is None else place.start + details.index
    source = None if details.index is None else place.source(details.index)
    return errors.InvalidRequest(
        details.field,
        details.problem or message,
        index=index,
        source=source,
        reason=details.reason or code.name,
        code=code,
        request_id=request_id,
    )
