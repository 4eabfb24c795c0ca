"""A span for each call, of kind SERVER, by OpenTelemetry's conventions for gRPC.

https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from evenface_transport import Call, Code, Method, StatusError
from opentelemetry import context, propagate, trace
from opentelemetry.semconv._incubating.attributes.rpc_attributes import (
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from evenface_server.logs import CURRENT_CALL
from evenface_server.rpc import code_of_end

_SYSTEM: Final = "grpc"
# Those of a server's own making; the others are their callers'.
_OWN_FAULTS: Final = frozenset(
    {
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.UNIMPLEMENTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    }
)


class TracedRpcs:
    """Gives methods spans.

    Args:
        tracer: Makes them.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def method(self, path: str, method: Method) -> Method:
        """Return a method that does the same in a span.

        The span begins when the request has come in whole, or, of a stream, with the call; a
        refusal that comes before has a span of its own.
        """
        name = path.removeprefix("/")
        unary, stream = method.unary, method.stream
        refuse, refuse_request = method.refuse, method.refuse_request
        return replace(
            method,
            unary=unary and self._unary(name, unary),
            stream=stream and self._stream(name, stream),
            refuse=refuse and self._refusal(name, refuse),
            refuse_request=refuse_request and self._refusal(name, refuse_request),
        )

    def _unary(self, name: str, answer: Any) -> Any:  # noqa: ANN401 - as Method has it
        async def traced(data: bytes, call: Call) -> bytes:
            span = self._begin(name, call)
            try:
                work = answer(data, call)
                del data  # which the handler lets go of while it waits
                reply: bytes = await work
            except BaseException as error:
                _end(span, _code_of(error, call))
                raise
            _end(span, Code.OK)
            return reply

        return traced

    def _stream(self, name: str, answer: Any) -> Any:  # noqa: ANN401 - as Method has it
        async def traced(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
            span = self._begin(name, call)
            try:
                async with aclosing(answer(requests, call)) as replies:
                    async for reply in replies:
                        yield reply
                        del reply  # the next one may be long in coming
            except BaseException as error:
                _end(span, _code_of(error, call))
                raise
            _end(span, Code.OK)

        return traced

    def _refusal(
        self, name: str, refuse: Callable[..., StatusError | None]
    ) -> Callable[..., StatusError | None]:
        def traced(call: Call, *beginning: bytes) -> StatusError | None:
            error = refuse(call, *beginning)
            if error is not None:
                _end(self._start(name, call), error.code)
            return error

        return traced

    def _begin(self, name: str, call: Call) -> Span:
        """Start a call's span, and make it the current one of the task that answers the call."""
        span = self._start(name, call)
        context.attach(trace.set_span_in_context(span))
        return span

    def _start(self, name: str, call: Call) -> Span:
        caller = propagate.extract(_texts(call))
        attributes = {
            RPC_SYSTEM_NAME: _SYSTEM,
            RPC_METHOD: name,
            CLIENT_ADDRESS: call.peer.address.rpartition(":")[0].strip("[]"),
        }
        return self._tracer.start_span(name, caller, SpanKind.SERVER, attributes)


def mark(span: Span, code: Code) -> None:
    """Note in a span how its call ended."""
    span.set_attribute(RPC_RESPONSE_STATUS_CODE, code.name)
    if code in _OWN_FAULTS:
        span.set_status(StatusCode.ERROR)


def mark_error(span: Span, code: Code, reason: str) -> None:
    """Note in a span what went wrong."""
    mark(span, code)
    span.set_attribute(ERROR_TYPE, reason)


def _end(span: Span, code: Code) -> None:
    if span.is_recording():
        mark(span, code)
        record = CURRENT_CALL.get()
        if record is not None:
            span.set_attribute("evenface.request_id", record.request_id)
            span.set_attribute("evenface.model", record.model)
            span.set_attribute("evenface.rows", record.rows)
    span.end()


def _code_of(error: BaseException, call: Call) -> Code:
    return error.code if isinstance(error, StatusError) else code_of_end(call)


def _texts(call: Call) -> dict[str, str]:
    return {key: value for key, value in call.metadata if isinstance(value, str)}
