"""Errors to statuses, tensors to arrays, attributes to mappings."""

import tracemalloc

import numpy as np
import pytest
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import SampleRequest
from evenface_core import errors
from evenface_core.errors import EvenfaceError, InvalidInput
from evenface_server.codec import tensors
from evenface_server.codec.requests import sample_call
from evenface_server.codec.status import fault_of, pushback_of
from google.rpc import code_pb2
from support.messages import status_details


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (InvalidInput("count", "too many"), code_pb2.INVALID_ARGUMENT, "INVALID_INPUT"),
        (errors.ModelNotFound("x"), code_pb2.NOT_FOUND, "MODEL_NOT_FOUND"),
        (errors.FunctionUnsupported("x"), code_pb2.FAILED_PRECONDITION, "FUNCTION_UNSUPPORTED"),
        (errors.QueueFull("x", retry_after=0.5), code_pb2.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
        (
            errors.ServiceUnavailable("x", retry_after=0.5),
            code_pb2.UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
        ),
        (errors.DeadlineExpired("x"), code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED"),
        (errors.Unauthenticated("x"), code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (errors.PermissionDenied("x"), code_pb2.PERMISSION_DENIED, "PERMISSION_DENIED"),
        (errors.RateLimited("x", retry_after=0.5), code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
        (errors.OrderRefused("x"), code_pb2.FAILED_PRECONDITION, "ORDER_REFUSED"),
        (errors.BundleError("/a/secret/path"), code_pb2.INTERNAL, "INTERNAL"),
        (RuntimeError("a secret"), code_pb2.INTERNAL, "INTERNAL"),
        (MemoryError(), code_pb2.INTERNAL, "INTERNAL"),
    ],
)
def test_every_error_has_its_row_in_the_table(error: Exception, code: int, reason: str) -> None:
    fault = fault_of(error)
    found = status_details(fault.status)
    assert (found.code, found.info.reason, found.info.domain) == (code, reason, "evenface")
    assert "secret" not in str(fault.status)
    later = errors.QueueFull | errors.RateLimited | errors.ServiceUnavailable
    retries = isinstance(error, later)
    assert [retry.retry_delay.ToMilliseconds() for retry in found.retries] == [500] * retries
    assert len(found.bad_requests) == isinstance(error, InvalidInput)


@pytest.mark.parametrize("kind", [errors.QueueFull, errors.RateLimited])
def test_only_what_is_full_or_too_much_pushes_back(
    kind: type[errors.QueueFull] | type[errors.RateLimited],
) -> None:
    for seconds, milliseconds in ((0.25, "250"), (0.0001, "1")):  # never too early
        expected = (("grpc-retry-pushback-ms", milliseconds),)
        assert pushback_of(kind("x", retry_after=seconds)) == expected
    assert pushback_of(errors.ServiceUnavailable("x", retry_after=1)) == ()


def test_an_endless_message_is_cut_to_fit_the_metadata() -> None:
    fault = fault_of(InvalidInput("ß" * 10_000, "ü" * 100_000, value="ä" * 100_000))
    in_base64, percent_encoded = fault.status.ByteSize() * 4 / 3, 3 * 800
    assert in_base64 + percent_encoded < 8192 - 1000  # and some room for other metadata


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arrays_survive_the_way_there_and_back(dtype: type[np.generic]) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = tensors.array(tensors.tensor(array), "x", dtype)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (common_pb2.Tensor(shape=[1], data=b"1234"), "x.data_type"),
        (
            common_pb2.Tensor(shape=[1], data=bytes(8), data_type=common_pb2.DATA_TYPE_INT64),
            "x.data_type",
        ),
        (
            common_pb2.Tensor(shape=[2], data=b"1234", data_type=common_pb2.DATA_TYPE_FLOAT32),
            "x.data",
        ),
        (
            common_pb2.Tensor(shape=[1] * 9, data=b"1234", data_type=common_pb2.DATA_TYPE_FLOAT32),
            "x.shape",
        ),
        (
            common_pb2.Tensor(shape=[2**32 - 1] * 8, data_type=common_pb2.DATA_TYPE_FLOAT32),
            "x.data",
        ),
    ],
)
def test_a_tensor_that_is_none_is_refused(message: common_pb2.Tensor, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tensors.array(message, "x", np.float32, np.float64)
    assert caught.value.field == field


def test_no_error_of_ours_is_without_a_reason() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    reasons = [k.reason for k in kinds if issubclass(k, EvenfaceError) and k.__doc__]
    assert all(reason.isupper() for reason in reasons)


def test_attributes_are_read_as_they_were_sent() -> None:
    sent = [common_pb2.Attributes(values={"smiling": 2.0}), common_pb2.Attributes()]
    call = sample_call(SampleRequest(count=2, attributes=sent), None)
    assert [dict(values) for values in call.attributes] == [{"smiling": 2.0}, {}]
    assert [dict(values) for values in call.attributes[1:]] == [{}]


def test_millions_of_attributes_are_counted_before_any_is_unpacked() -> None:
    request = SampleRequest.FromString(b"\x42\x00" * 100_000)  # empty ones, two bytes each
    tracemalloc.start()
    call = sample_call(request, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(call.attributes) == 100_000
    assert peak < 100_000
