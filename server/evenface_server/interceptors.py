"""What happens around every RPC of evenface: errors become statuses, calls are measured and logged.

Health and reflection pass untouched. The measuring interceptor goes first (outermost), so that it
sees the status that the other one sets.
"""

import asyncio
import logging
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from evenface_core.errors import InvalidInput
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from evenface_server.codec.status import Fault, fault_of, pushback_of
from evenface_server.codec.wire import check_fields
from evenface_server.inflight import InFlight
from evenface_server.logs import CURRENT_CALL, CallRecord
from evenface_server.metrics import Metrics, RpcMetrics

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in its stubs alone
Handler = Any  # grpc.RpcMethodHandler, whose stubs know the synchronous form alone
Unary = Callable[[Any, Context], Awaitable[Message]]
Stream = Callable[[AsyncIterator[Any], Context], AsyncGenerator[Message, None]]

REQUEST_ID = "x-request-id"

_LOG = logging.getLogger(__name__)
_PREFIX = "/evenface."
# A caller whose deadline has passed cancels; its clock started before ours.
_DEADLINE_SLACK_SECONDS = 0.02
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
T = TypeVar("T")


class Faults:
    """Counts errors, logs those that nobody foresaw, and says what the caller is told."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def of(self, error: Exception) -> Fault:
        """Return the fault of an error."""
        fault = fault_of(error)
        self._metrics.rejections.labels(fault.reason).inc()
        if not fault.expected:
            _LOG.error("internal error", exc_info=error)
        return fault


class _Around(grpc.aio.ServerInterceptor, ABC):
    """Wraps each RPC of evenface once."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the wrapped handler."""
        method = handler_call_details.method
        handler = self._wrapped.get(method)
        if handler is not None:
            return handler
        handler = await continuation(handler_call_details)
        # None: there is no such method; its name must not become a key or a label.
        if handler is None or not method.startswith(_PREFIX):
            return handler
        return self._wrapped.setdefault(method, self.wrap(method, handler))

    @abstractmethod
    def wrap(self, method: str, handler: Handler) -> Handler:
        """Make the handler that runs in place of another."""


class ErrorInterceptor(_Around):
    """Turns whatever a handler raises into a status, cancellation excepted.

    It also parses requests, so that bytes which are no message are the caller's error.

    Args:
        faults: Says which status.
        max_fields: Of one request; more are refused before they are parsed.
    """

    def __init__(self, faults: Faults, max_fields: int) -> None:
        super().__init__()
        self._faults = faults
        self._max_fields = max_fields

    def wrap(self, method: str, handler: Handler) -> Handler:
        """Wrap a handler; it takes bytes."""
        del method
        parse = _parser(handler, self._max_fields)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(handler.stream_stream, parse), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, parse), None, handler.response_serializer
        )

    def _unary(self, inner: Unary, parse: Callable[[bytes], Message]) -> Unary:
        async def call(request: bytes, context: Context) -> Message:
            try:
                return await inner(parse(request), context)
            except Exception as error:  # noqa: BLE001 - every error gets a status
                await self._abort(error, context)

        return call

    def _stream(self, inner: Stream, parse: Callable[[bytes], Message]) -> Stream:
        async def call(
            requests: AsyncIterator[bytes], context: Context
        ) -> AsyncGenerator[Message, None]:
            parsed = (parse(request) async for request in requests)
            try:
                async with aclosing(inner(parsed, context)) as replies:
                    async for reply in replies:
                        yield reply
            except Exception as error:  # noqa: BLE001 - every error gets a status
                await self._abort(error, context)

        return call

    async def _abort(self, error: Exception, context: Context) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        status = rpc_status.to_status(self._faults.of(error).status)
        metadata = (*context.trailing_metadata(), *status.trailing_metadata)
        await context.abort(status.code, status.details, (*metadata, *pushback_of(error)))


class MeasuringInterceptor(_Around):
    """Measures each RPC and logs a line about it.

    Args:
        metrics: Where to count.
        in_flight: Told of each call.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        metrics: Metrics,
        in_flight: InFlight,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._metrics = metrics
        self._clock = clock
        self._in_flight = in_flight

    def wrap(self, method: str, handler: Handler) -> Handler:
        """Wrap a handler."""
        service, _, name = method.removeprefix("/").partition("/")
        if handler.stream_stream is not None:
            meter = _Meter(
                self._metrics, ("bidi_stream", service, name), self._clock, self._in_flight
            )
            return grpc.stream_stream_rpc_method_handler(
                meter.stream(handler.stream_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        meter = _Meter(self._metrics, ("unary", service, name), self._clock, self._in_flight)
        return grpc.unary_unary_rpc_method_handler(
            meter.unary(handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )


class _Meter:
    """Measures one RPC method."""

    def __init__(
        self,
        metrics: Metrics,
        labels: tuple[str, str, str],
        clock: Callable[[], float],
        in_flight: InFlight,
    ) -> None:
        self._in_flight = in_flight
        self._all = metrics
        self._labels = labels
        self._metrics: RpcMetrics = metrics.rpc(*labels)
        self._clock = clock

    def unary(self, inner: Unary) -> Unary:
        async def call(request: bytes, context: Context) -> Message:
            self._metrics.received.inc()
            reply = await self._measured(inner(request, context), context)
            self._metrics.sent.inc()
            return reply

        return call

    def stream(self, inner: Stream) -> Callable[[AsyncIterator[Any], Context], Awaitable[None]]:
        """Drive the replies here, not in grpc: so they are closed at once when the call ends."""

        async def call(requests: AsyncIterator[Any], context: Context) -> None:
            await self._measured(self._write_all(inner, requests, context), context)

        return call

    async def _write_all(
        self, inner: Stream, requests: AsyncIterator[Any], context: Context
    ) -> None:
        async with aclosing(inner(self._counted(requests), context)) as replies:
            async for reply in replies:
                await _write(context, reply)
                self._metrics.sent.inc()

    async def _counted(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self._metrics.received.inc()
            yield request

    async def _measured(self, work: Awaitable[T], context: Context) -> T:
        record = CallRecord(_request_id(context))
        CURRENT_CALL.set(record)
        context.set_trailing_metadata(((REQUEST_ID, record.request_id),))
        self._metrics.started.inc()
        started = self._in_flight.begin(record)
        code = grpc.StatusCode.OK
        try:
            return await work
        except BaseException as error:
            code = _code(error, context)
            raise
        finally:
            self._in_flight.end(record)
            self._finish(record, code, self._clock() - started)

    def _finish(self, record: CallRecord, code: grpc.StatusCode, seconds: float) -> None:
        _, service, name = self._labels
        self._metrics.seconds.observe(seconds)
        self._all.handled(*self._labels, code.name)
        _LOG.info(
            "call",
            extra={
                "service": service,
                "method": name,
                "code": code.name,
                "seconds": round(seconds, 6),
                "rows": record.rows,
                "model": record.model,
            },
        )


def _parser(handler: Handler, max_fields: int) -> Callable[[bytes], Message]:
    deserialize = handler.request_deserializer
    if deserialize is None:
        raise TypeError("the RPC has no request message")
    descriptor = deserialize(b"").DESCRIPTOR

    def parse(data: bytes) -> Message:
        check_fields(data, descriptor, max_fields)
        try:
            message: Message = deserialize(data)
        except DecodeError as error:
            raise InvalidInput("request", "these bytes are not the RPC's message") from error
        return message

    return parse


async def _write(context: Context, reply: Message) -> None:
    """Send a reply on a stream; where that fails, the caller has gone."""
    try:
        await context.write(reply)
    except grpc.aio.InternalError as error:  # an error in gRPC's log, unlike a cancellation
        raise asyncio.CancelledError from error


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


def _code(error: BaseException, context: Context) -> grpc.StatusCode:
    if isinstance(error, grpc.aio.AbortError):
        found: object = context.code()  # the member or its number, whatever the stubs say
        return next(code for code in grpc.StatusCode if found in (code, code.value[0]))
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= _DEADLINE_SLACK_SECONDS:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.CANCELLED
