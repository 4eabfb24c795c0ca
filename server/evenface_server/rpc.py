"""What happens around every RPC: bytes become messages, errors statuses, calls are measured."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from evenface_core.errors import (
    EvenfaceError,
    InvalidInput,
    QueueFull,
)
from evenface_transport import Alike, Call, Code, Method, StatusError
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from evenface_server.access import Access, Caller
from evenface_server.calls import Target
from evenface_server.codec.wire import check_fields, leading_names
from evenface_server.faults import Faults
from evenface_server.logs import CURRENT_CALL, CallLog, CallRecord
from evenface_server.metrics import Metrics
from evenface_server.request_ids import KEY, request_id

_LOG = logging.getLogger(__name__)
# A caller whose deadline has passed cancels; its clock started before ours.
_DEADLINE_SLACK_SECONDS: Final = 0.02
# Less than a batch of most models: a queue that was too long is no shorter before one has run.
_ALIKE_SECONDS: Final = 0.002

# Why a call, of which so much is known, would be refused.
Refusal = Callable[[Target], QueueFull | None]
Unary = Callable[[Any, Call], Awaitable[Message]]
Stream = Callable[[AsyncIterator[Any], Call], AsyncGenerator[Message, None]]


class Rpcs:
    """Makes the methods of our services.

    Args:
        metrics: Where calls are counted.
        faults: Says what callers are told of errors.
        log: Gets a line about each call.
        access: Says who may call what.
        max_fields: Of one request; more are refused before they are parsed.
    """

    def __init__(
        self, metrics: Metrics, faults: Faults, log: CallLog, access: Access, max_fields: int
    ) -> None:
        self._metrics = metrics
        self._faults = faults
        self._log = log
        self._access = access
        self._max_fields = max_fields

    def methods(
        self,
        service: ServiceDescriptor,
        servicer: object,
        refusals: Mapping[str, Refusal] = MappingProxyType({}),
    ) -> dict[str, Method]:
        """Return the methods of a service by path.

        Args:
            service: What there is.
            servicer: Has a handler for each.
            refusals: By name, what says of a request that begins why it would be refused.
        """
        return {
            f"/{service.full_name}/{method.name}": self._method(
                method, servicer, refusals.get(method.name)
            )
            for method in service.methods
        }

    def _method(
        self, method: MethodDescriptor, servicer: object, refusal: Refusal | None
    ) -> Method:
        rpc = _Rpc(method, self._metrics, self._faults, self._log, self._access, self._max_fields)
        handler = getattr(servicer, method.name)
        refuse = None if self._access.is_open else rpc.refuse
        if method.client_streaming:
            return Method(stream=rpc.stream(handler), refuse=refuse)
        refuse_request = None if refusal is None else rpc.refuse_request(refusal)
        return Method(unary=rpc.unary(handler), refuse=refuse, refuse_request=refuse_request)


class _Rpc:
    """One RPC: parses, measures, logs, and turns what its handler raises into statuses."""

    def __init__(
        self,
        method: MethodDescriptor,
        metrics: Metrics,
        faults: Faults,
        log: CallLog,
        access: Access,
        max_fields: int,
    ) -> None:
        self._service, self._name = method.containing_service.full_name, method.name
        kind = "bidi_stream" if method.client_streaming else "unary"
        self._metrics = metrics.rpc(kind, self._service, self._name)
        self._faults = faults
        self._log = log
        self._access = access
        self._max_fields = max_fields
        self._input = method.input_type
        self._from_bytes = GetMessageClass(method.input_type).FromString

    def unary(self, handler: Unary) -> Callable[[bytes, Call], Awaitable[bytes]]:
        async def answer(data: bytes, call: Call) -> bytes:
            record, started = self._begin(call)
            code = Code.OK
            self._metrics.received.inc()
            try:
                self._enter(record, call)
                work = handler(self._parse(data), call)
                del data  # what was sent is held once while the call waits
                reply = (await work).SerializeToString()
            except Exception as error:  # noqa: BLE001 - goes on as a status
                status = self._faults.status_of(error)
                code = status.code
                try:
                    raise status from error
                finally:
                    del status  # else its traceback, and the request with it, would hold itself
            except BaseException:
                code = code_of_end(call)
                raise
            finally:
                self._finish(record, code, started)
            self._metrics.sent.inc()
            return reply

        return answer

    def stream(
        self, handler: Stream
    ) -> Callable[[AsyncIterator[bytes], Call], AsyncGenerator[bytes, None]]:
        async def answer(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
            record, started = self._begin(call)
            code = Code.OK
            try:
                caller = self._enter(record, call)
                if record.charge is not None:
                    record.charge = caller.owe
                parsed = self._parse_all(requests, caller)
                async with aclosing(handler(parsed, call)) as replies:
                    async for reply in replies:
                        data = reply.SerializeToString()
                        del reply
                        yield data
                        del data  # nor is it held while the next one is long in coming
                        self._metrics.sent.inc()
            except Exception as error:  # noqa: BLE001 - goes on as a status
                status = self._faults.status_of(error)
                code = status.code
                try:
                    raise status from error
                finally:
                    del status  # else its traceback, and the request with it, would hold itself
            except BaseException:
                code = code_of_end(call)
                raise
            finally:
                self._finish(record, code, started)

        return answer

    def refuse(self, call: Call) -> StatusError | None:
        """Say why a caller may not; the call is not counted against its rates yet."""
        caller = caller_of(self._access, call)
        error = denial_of(caller)
        if error is None:
            return None
        record, status = self._record(call), self._faults.status_of(error)
        record.caller = caller.name
        self._finish(record, status.code, time.monotonic())
        return status

    def refuse_request(self, refusal: Refusal) -> Callable[[Call, bytes], StatusError | None]:
        """Return what refuses calls as their requests begin to come in, as they come in numbers."""

        def refuse(call: Call, beginning: bytes) -> StatusError | None:
            names = leading_names(beginning)
            if names is None:
                return None
            until = call.deadline if call.has_deadline else None
            error = refusal(Target(names.model, names.version, until))
            if error is None:
                return None
            if self._access.is_open:
                return self._refuse_alike(call, error, names.length)
            record = self._record(call)
            try:
                self._enter(record, call)
            except EvenfaceError as denial:
                status = self._faults.status_of(denial)
            else:
                status = self._faults.refusal(error)
            self._finish(record, status.code, time.monotonic())
            return status

        return refuse

    def _refuse_alike(self, call: Call, error: QueueFull, length: int) -> StatusError:
        """Refuse a call, and those of the next moment that are like it, as one in the log.

        Args:
            call: The first.
            error: Why.
            length: Of the beginning of its request, by which it was judged.
        """
        record = self._record(call)
        status = self._faults.refusal(error)
        status.alike = alike = Alike(length)

        def finish() -> None:
            alike.is_over = True
            self._metrics.started.inc(alike.calls - 1)
            self._faults.count(error.reason, alike.calls - 1)
            self._finish(record, status.code, time.monotonic(), alike.calls)

        asyncio.get_running_loop().call_later(_ALIKE_SECONDS, finish)
        return status

    def _begin(self, call: Call) -> tuple[CallRecord, float]:
        record = self._record(call)
        CURRENT_CALL.set(record)
        return record, time.monotonic()

    def _record(self, call: Call) -> CallRecord:
        record = CallRecord(request_id(call))
        call.trailers.append((KEY, record.request_id))
        self._metrics.started.inc()
        return record

    def _enter(self, record: CallRecord, call: Call) -> Caller:
        """Let the caller in, and count what it does against its rates."""
        caller = caller_of(self._access, call)
        try:
            caller.charge()
        finally:
            record.caller = caller.name
        if caller.name:
            record.charge = partial(caller.charge, 0)
        return caller

    def _finish(self, record: CallRecord, code: Code, started: float, calls: int = 1) -> None:
        seconds = time.monotonic() - started
        self._metrics.seconds.observe(seconds, calls)
        self._metrics.handled(code.name, calls)
        self._log.write(record, self._service, self._name, code.name, seconds, calls)

    async def _parse_all(
        self, requests: AsyncIterator[bytes], caller: Caller
    ) -> AsyncIterator[Message]:
        is_first = True  # which counts as the call
        async for data in requests:
            self._metrics.received.inc()
            if not is_first:
                await caller.turn()
            is_first = False
            parsed = [self._parse(data)]
            del data  # the next one may be long in coming
            yield parsed.pop()

    def _parse(self, data: bytes) -> Message:
        check_fields(data, self._input, self._max_fields)
        return message_of(self._from_bytes, data)


def caller_of(access: Access, call: Call) -> Caller:
    """Return who calls."""
    return access.caller(call.path, call.metadata, call.peer.certificate)


def denial_of(caller: Caller) -> EvenfaceError | None:
    """Return why a caller may not call; None lets it."""
    try:
        caller.charge(0)
    except EvenfaceError as error:
        return error
    return None


def message_of(parse: Callable[[bytes], Message], data: bytes) -> Message:
    """Parse a message.

    Raises:
        InvalidInput: It is none.
    """
    try:
        return parse(data)
    except DecodeError as error:
        raise InvalidInput("request", "these bytes are not the RPC's message") from error


def code_of_end(call: Call) -> Code:
    """The code of a call that ends before its handler."""
    if time.monotonic() >= call.deadline - _DEADLINE_SLACK_SECONDS:
        return Code.DEADLINE_EXCEEDED
    return call.ended or Code.CANCELLED
