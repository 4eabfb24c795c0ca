"""Failed calls and statuses to exceptions."""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from evenface_client import errors
from evenface_client._inputs import Place
from evenface_client._status import from_call, from_status
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DETAILS = "grpc-status-details-bin"


@dataclass
class Failed:
    """A failed call, as gRPC shows it."""

    status_code: grpc.StatusCode
    text: str | None
    metadata: tuple[tuple[str, str | bytes], ...] | None = ()

    def code(self) -> grpc.StatusCode:
        return self.status_code

    def details(self) -> str | None:
        return self.text

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...] | None:
        return self.metadata


def status(code: grpc.StatusCode, text: str, *details: Message) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=text, details=packed)


def info(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="evenface")


def violation(field: str, problem: str) -> error_details_pb2.BadRequest:
    one = error_details_pb2.BadRequest.FieldViolation(field=field, description=problem)
    return error_details_pb2.BadRequest(field_violations=[one])


def failed(code: grpc.StatusCode, text: str, *details: Message) -> Failed:
    return Failed(code, text, ((DETAILS, status(code, text, *details).SerializeToString()),))


def exception_of(code: grpc.StatusCode, *details: Message) -> errors.EvenfaceClientError:
    return from_call(failed(code, "what happened", *details), Place(), "id-1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.Unsupported),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unsupported),
        (grpc.StatusCode.UNAUTHENTICATED, errors.AccessDenied),
        (grpc.StatusCode.PERMISSION_DENIED, errors.AccessDenied),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.INTERNAL, errors.InternalServerError),
        (grpc.StatusCode.UNKNOWN, errors.InternalServerError),
        (grpc.StatusCode.DATA_LOSS, errors.InternalServerError),
    ],
)
def test_each_status_has_its_exception(
    code: grpc.StatusCode, kind: type[errors.EvenfaceClientError]
) -> None:
    error = exception_of(code, info("SOME_REASON"))
    assert type(error) is kind
    assert (error.code, error.reason, error.request_id) == (code, "SOME_REASON", "id-1")
    assert str(error) == "what happened"


def test_every_exception_stands_in_the_tree_of_the_docstring() -> None:
    drawn = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert name in drawn
            assert issubclass(kind, errors.EvenfaceClientError)


def test_a_violation_names_the_item_among_all_that_were_passed() -> None:
    call = failed(
        grpc.StatusCode.INVALID_ARGUMENT,
        "images.encoded.data[1]: damaged image",
        info("INVALID_INPUT"),
        violation("images.encoded.data[1]", "damaged image"),
    )
    error = from_call(call, Place(10, (None, "b.png")), "")
    assert isinstance(error, errors.InvalidRequest)
    assert (error.field, error.index, error.source) == ("images", 11, "b.png")
    assert str(error) == "images[11] (b.png): damaged image"


def test_a_violation_without_an_index_keeps_its_field() -> None:
    error = exception_of(
        grpc.StatusCode.INVALID_ARGUMENT, violation("temperature", "11 is outside 0 to 10")
    )
    assert str(error) == "temperature: 11 is outside 0 to 10"


def test_latents_are_counted_from_the_first_of_the_call() -> None:
    call = failed(grpc.StatusCode.INVALID_ARGUMENT, "", violation("latents[2]", "holds NaN"))
    assert str(from_call(call, Place(8), "")) == "latents[10]: holds NaN"


def test_the_advised_delay_is_kept() -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1250)
    for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE):
        error = exception_of(code, info("QUEUE_FULL"), retry)
        assert isinstance(error, errors.TryAgain)
        assert error.retry_after == 1.25


def test_a_failure_without_details_is_named_by_its_code() -> None:
    error = from_call(
        Failed(grpc.StatusCode.UNAVAILABLE, "Connection refused", None), Place(), "id"
    )
    assert isinstance(error, errors.Unavailable)
    assert (error.reason, error.retry_after) == ("UNAVAILABLE", None)


def test_broken_details_do_not_hide_the_failure() -> None:
    call = Failed(grpc.StatusCode.NOT_FOUND, "no model 'x'", ((DETAILS, b"\xff\xff"),))
    assert isinstance(from_call(call, Place(), ""), errors.NotFound)


def test_a_message_too_large_for_grpc_is_not_taken_for_overload() -> None:
    text = "CLIENT: Sent message larger than max (5 vs. 4)"
    error = from_call(Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, text), Place(), "")
    assert isinstance(error, errors.InvalidRequest)


def test_a_status_in_a_stream_reads_like_that_of_a_call() -> None:
    sent = status(grpc.StatusCode.NOT_FOUND, "no model 'x'", info("MODEL_NOT_FOUND"))
    error = from_status(sent, Place(), "id")
    assert isinstance(error, errors.NotFound)
    assert (error.reason, error.code) == ("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


def test_an_unknown_code_is_the_server_s_fault() -> None:
    error = from_status(status_pb2.Status(code=99, message="?"), Place(), "")
    assert isinstance(error, errors.InternalServerError)


async def test_a_message_that_grpc_could_not_write_means_a_lost_connection() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        call: Any = channel.stream_stream("/evenface.v1.FaceService/EncodeStream")()
        # As grpc.aio does when a write fails before the call's own status comes: pins its words.
        call._cython_call.set_internal_error("Failed SendMessage")  # noqa: SLF001
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    error = from_call(caught.value, Place(), "id")
    assert isinstance(error, errors.Unavailable)
    assert error.code is grpc.StatusCode.UNAVAILABLE
    told = failed(grpc.StatusCode.INTERNAL, "Internal error from Core, says the server")
    assert isinstance(from_call(told, Place(), "id"), errors.InternalServerError)
