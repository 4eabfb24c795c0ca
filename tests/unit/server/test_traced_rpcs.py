"""Spans of calls, by the ways in which calls end."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from evenface_server.tracing.rpcs import TracedRpcs
from evenface_transport import Call, Code, Method, StatusError
from evenface_transport.call import Peer
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

PATH = "/evenface.v1.FaceService/Encode"


class Bench:
    """Traced methods, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._rpcs = TracedRpcs(provider.get_tracer("test"))

    def method(self, method: Method) -> Method:
        """Return the method, traced."""
        return self._rpcs.method(PATH, method)

    def span(self) -> ReadableSpan:
        """Return the one span that has ended."""
        (span,) = self._exporter.get_finished_spans()
        return span

    @property
    def count(self) -> int:
        """How many spans have ended."""
        return len(self._exporter.get_finished_spans())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def call(*metadata: tuple[str, str | bytes], seconds: float = 60.0) -> Call:
    return Call(PATH, metadata, time.monotonic() + seconds, Peer("[::1]:5000", None))


def code_of(span: ReadableSpan) -> object:
    return (span.attributes or {})["rpc.response.status_code"]


def failed(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR


def refusing(error: StatusError | None) -> Method:
    return Method(refuse=lambda _: error, refuse_request=lambda _, __: error)


@pytest.mark.parametrize("way", ["refuse", "refuse_request"])
def test_a_call_that_is_refused_before_it_begins_has_a_span(bench: Bench, way: str) -> None:
    error = StatusError(Code.RESOURCE_EXHAUSTED, "full")
    method = bench.method(refusing(error))
    arguments = (call(),) if way == "refuse" else (call(), b"beginning")
    assert getattr(method, way)(*arguments) is error
    assert (code_of(bench.span()), failed(bench.span())) == ("RESOURCE_EXHAUSTED", False)
    assert (bench.span().attributes or {})["client.address"] == "::1"


def test_a_call_that_is_let_in_has_no_span_for_that(bench: Bench) -> None:
    method = bench.method(refusing(None))
    assert method.refuse is not None
    assert method.refuse_request is not None
    assert method.refuse(call()) is None
    assert method.refuse_request(call(), b"") is None
    assert not bench.count


@pytest.mark.parametrize(
    ("code", "is_fault"), [(Code.INTERNAL, True), (Code.UNAVAILABLE, True), (Code.NOT_FOUND, False)]
)
async def test_a_span_has_the_status_of_its_call(bench: Bench, code: Code, is_fault: bool) -> None:
    async def answer(data: bytes, call: Call) -> bytes:
        del data, call
        raise StatusError(code, "no")

    method = bench.method(Method(unary=answer))
    assert method.unary is not None
    with pytest.raises(StatusError):
        await method.unary(b"", call())
    assert (code_of(bench.span()), failed(bench.span())) == (code.name, is_fault)


@pytest.mark.parametrize(("seconds", "code"), [(60.0, "CANCELLED"), (0.0, "DEADLINE_EXCEEDED")])
async def test_a_call_that_is_given_up_has_the_code_of_who_gave_it_up(
    bench: Bench, seconds: float, code: str
) -> None:
    async def answer(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
        del call
        async for request in requests:
            yield request
        raise asyncio.CancelledError

    async def requests() -> AsyncIterator[bytes]:
        yield b"one"

    method = bench.method(Method(stream=answer))
    assert method.stream is not None
    replies = method.stream(requests(), call(seconds=seconds))
    assert await anext(replies) == b"one"
    with pytest.raises(asyncio.CancelledError):
        await anext(replies)
    assert code_of(bench.span()) == code


@pytest.mark.parametrize("sent", ["", "00-zz-1-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_context_that_is_none_is_passed_over(bench: Bench, sent: str) -> None:
    async def answer(data: bytes, call: Call) -> bytes:
        del call
        return data

    method = bench.method(Method(unary=answer))
    assert method.unary is not None
    context = call(("traceparent", sent), ("traceparent-bin", b"\xff"))
    assert await method.unary(b"reply", context) == b"reply"
    assert bench.span().parent is None
    assert code_of(bench.span()) == "OK"


async def test_a_request_is_not_held_by_its_span(bench: Bench) -> None:
    holders = []

    async def answer(data: bytes, call: Call) -> bytes:
        del call
        holders.append(sys.getrefcount(data))
        return b""

    traced = bench.method(Method(unary=answer)).unary
    assert traced is not None
    await answer(bytes(bytearray(9)), call())
    await traced(bytes(bytearray(9)), call())
    assert holders[0] == holders[1]
