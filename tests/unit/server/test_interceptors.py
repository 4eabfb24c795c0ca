"""What the interceptors do where gRPC itself fails."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from unittest.mock import AsyncMock, Mock

import grpc
import pytest
from evenface_server.inflight import InFlight
from evenface_server.interceptors import MeasuringInterceptor
from evenface_server.metrics import Metrics
from google.protobuf.empty_pb2 import Empty


async def _replies(_: object, __: object) -> AsyncGenerator[Empty, None]:
    yield Empty()


async def test_a_reply_that_cannot_be_sent_is_a_call_cancelled() -> None:
    metrics = Metrics()
    interceptor = MeasuringInterceptor(metrics, InFlight())
    handler: Any = grpc.stream_stream_rpc_method_handler(_replies)
    wrapped = interceptor.wrap("/evenface.v1.FaceService/EncodeStream", handler)
    context = Mock(
        write=AsyncMock(side_effect=grpc.aio.InternalError("Failed execute_batch")),
        invocation_metadata=Mock(return_value=()),
        time_remaining=Mock(return_value=None),
    )
    with pytest.raises(asyncio.CancelledError):
        await wrapped.stream_stream(None, context)
    labels = {
        "grpc_type": "bidi_stream",
        "grpc_service": "evenface.v1.FaceService",
        "grpc_method": "EncodeStream",
    }
    count = metrics.registry.get_sample_value
    assert count("grpc_server_handled_total", {**labels, "grpc_code": "CANCELLED"}) == 1
    assert count("grpc_server_msg_sent_total", labels) == 0


@pytest.mark.parametrize(
    ("remaining", "code"), [(None, "CANCELLED"), (5.0, "CANCELLED"), (0.0, "DEADLINE_EXCEEDED")]
)
async def test_a_call_cancelled_at_its_deadline_is_counted_as_such(
    remaining: float | None, code: str
) -> None:
    async def cancelled(_: object, __: object) -> Empty:
        raise asyncio.CancelledError

    metrics = Metrics()
    handler: Any = grpc.unary_unary_rpc_method_handler(cancelled)
    interceptor = MeasuringInterceptor(metrics, InFlight())
    wrapped = interceptor.wrap("/evenface.v1.FaceService/Encode", handler)
    context = Mock(
        invocation_metadata=Mock(return_value=()), time_remaining=Mock(return_value=remaining)
    )
    with pytest.raises(asyncio.CancelledError):
        await wrapped.unary_unary(b"", context)
    (family,) = (f for f in metrics.registry.collect() if f.name == "grpc_server_handled")
    assert [sample.labels["grpc_code"] for sample in family.samples] == [code]
