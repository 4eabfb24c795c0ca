"""The calls of one connection: from the header block that opens one to the trailers that end it."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Final

from evenface_transport import frames
from evenface_transport.call import Call, Method, Peer
from evenface_transport.frames import ErrorCode
from evenface_transport.headers import (
    STATUS_OK,
    UNSUPPORTED,
    RequestHead,
    metadata_fields,
    status_fields,
)
from evenface_transport.host import Host
from evenface_transport.messages import PREFIX_BYTES, Assembler, encoding_error
from evenface_transport.outbox import Outbox
from evenface_transport.status import Code, StatusError
from evenface_transport.stream import RECEIVE_WINDOW, Requests, Stream

_LOG = logging.getLogger(__name__)
_RETRY_AFTER: Final = 0.5
_SHARE: Final = 2  # one connection may hold one part in so many of the budget


class Calls:
    """The open calls of a connection.

    Args:
        host: Limits, budget and methods.
        outbox: Sends.
        peer: Who calls.
    """

    def __init__(self, host: Host, outbox: Outbox, peer: Peer) -> None:
        self._host = host
        self._outbox = outbox
        self._peer = peer
        self._held = 0
        self._loop = asyncio.get_running_loop()
        self.streams: dict[int, Stream] = {}

    def open(self, number: int, head: RequestHead, now: float, *, is_ended: bool) -> None:
        """Begin a call, or refuse it."""
        limits = self._host.limits
        if len(self.streams) >= limits.max_streams:
            self._outbox.control(frames.reset(number, ErrorCode.REFUSED_STREAM))
            return
        deadline = math.inf if head.timeout is None else now + head.timeout
        method = self._host.methods.get(head.path, _UNKNOWN)
        stream = Stream(
            number,
            method,
            Call(head.path, head.metadata, deadline, self._peer),
            Assembler(head.encoding, limits.max_message_bytes),
            self._outbox.initial_window,
        )
        self.streams[number] = stream
        if not head.is_grpc:
            self._outbox.finish(stream, UNSUPPORTED)
            return
        error = encoding_error(head.encoding)
        if error is not None:
            self._fail(stream, error)
            return
        if method.stream is not None:
            requests = Requests(lambda: self._top_up(stream, requests))
            stream.requests = requests
            self._start(stream, self._run_stream(stream, requests))
        if is_ended:
            self.end(stream)

    def feed(self, stream: Stream, data: bytes, at: int, end: int, now: float) -> None:
        """Take data of a request."""
        assembler = stream.assembler
        try:
            while at < end:
                at, message = assembler.feed(data, at, end)
                if assembler.begun is not None:
                    self._reserve(stream, assembler.begun)
                    stream.since, assembler.begun = now, None
                if message is not None:
                    stream.since = None
                    self._take(stream, message)
        except StatusError as error:
            self._fail(stream, error)
            return
        # Just what the message at hand lacks: more would let in what nobody has asked for yet.
        needed = max(assembler.missing, PREFIX_BYTES)
        if not assembler.is_between and stream.receive_window < needed:
            self._grant(stream, needed)

    def end(self, stream: Stream) -> None:
        """The peer sends no more on a stream."""
        stream.is_ended = True
        if stream.closed:
            return
        if not stream.assembler.is_between:
            self._fail(stream, StatusError(Code.INTERNAL, "the request ends within a message"))
        elif stream.requests is not None:
            stream.requests.end()
        elif stream.message is None:
            self._fail(stream, StatusError(Code.INTERNAL, "there is no request"))
        else:
            message, stream.message = stream.message, None
            self._start(stream, self._run_unary(stream, message))

    def drop(self, stream: Stream, code: Code = Code.CANCELLED) -> None:
        """Forget a stream whose peer wants no answer any more."""
        stream.call.ended = code
        if stream.task is not None:
            stream.task.cancel()
        self.close(stream)

    def drop_all(self) -> None:
        """The connection is gone."""
        for stream in list(self.streams.values()):
            self.drop(stream)

    def refuse_all(self, error: StatusError) -> None:
        """End all calls that are still at work."""
        for stream in list(self.streams.values()):
            self._fail(stream, error)

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed, or whose peer does not go on."""
        slowest = now - self._host.limits.message_seconds
        for stream in list(self.streams.values()):
            if stream.call.deadline <= now:
                self._fail(stream, StatusError(Code.DEADLINE_EXCEEDED, "the deadline has passed"))
            elif stream.since is not None and stream.since < slowest:
                self._outbox.control(frames.reset(stream.number, ErrorCode.CANCEL))
                self.drop(stream)

    def close(self, stream: Stream) -> None:
        """Forget a stream, whose reply has gone out whole or never will."""
        if stream.closed:
            return
        stream.closed = True
        self._release(sum(stream.held) + stream.sending)
        self._outbox.drop(stream)
        del self.streams[stream.number]

    def _take(self, stream: Stream, message: bytes) -> None:
        if stream.requests is not None:
            stream.requests.put(message)
        elif stream.message is not None:
            raise StatusError(Code.INTERNAL, "more than one request")
        else:
            stream.message = message

    def _start(self, stream: Stream, work: Coroutine[None, None, None]) -> None:
        stream.task = self._loop.create_task(work)
        self._host.tasks.add(stream.task)
        stream.task.add_done_callback(self._host.tasks.discard)

    async def _run_unary(self, stream: Stream, message: bytes) -> None:
        answer = stream.method.unary
        try:
            if answer is not None:
                self._reply(stream, await answer(message, stream.call))
        except asyncio.CancelledError:
            self._fail(stream, StatusError(Code.CANCELLED, "cancelled"))
        except StatusError as error:
            self._fail(stream, error)
        except Exception:  # noqa: BLE001 - whatever it is, the peer learns of it
            self._crash(stream)

    async def _run_stream(self, stream: Stream, requests: Requests) -> None:
        answer = stream.method.stream
        try:
            if answer is not None:
                async with aclosing(answer(requests, stream.call)) as replies:
                    async for reply in replies:
                        await self._send(stream, reply)
                self._outbox.end(stream, _trailers(stream.call))
        except asyncio.CancelledError:
            self._fail(stream, StatusError(Code.CANCELLED, "cancelled"))
        except StatusError as error:
            self._fail(stream, error)
        except Exception:  # noqa: BLE001 - whatever it is, the peer learns of it
            self._crash(stream)

    def _reply(self, stream: Stream, message: bytes) -> None:
        """Send the one reply of a unary call."""
        if not stream.closed:
            self._outbox.reply(stream, message, _trailers(stream.call))
            self._hold(stream)

    async def _send(self, stream: Stream, message: bytes) -> None:
        """Send one reply of a stream; return once the peer has taken it."""
        self._outbox.reply(stream, message, None)
        if stream.queue:
            stream.drained = self._loop.create_future()
            self._hold(stream)
            await stream.drained
            self._release(stream.sending)
            stream.sending = 0
        if stream.held:
            self._release(stream.held.popleft())

    def _fail(self, stream: Stream, error: StatusError) -> None:
        if stream.closed or stream.tail is not None:
            return
        if stream.task is not None and stream.task is not asyncio.current_task():
            stream.call.ended = error.code
            stream.task.cancel()
        told = self._host.explain(error)
        metadata = (*stream.call.trailers, *told.trailers)
        self._outbox.end(stream, status_fields(told.code, told.text) + metadata_fields(metadata))

    def _crash(self, stream: Stream) -> None:
        _LOG.exception("a handler failed", extra={"path": stream.call.path})
        self._fail(stream, StatusError(Code.INTERNAL, "internal error"))

    def _reserve(self, stream: Stream, size: int) -> None:
        """Make room for a message that begins to come in."""
        budget = self._host.budget
        share = budget.limit // _SHARE
        if self._held + size > share or not budget.reserve(size):
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"{budget.held} bytes of requests and replies are held, {self._held} of them for "
                f"this connection; limit {budget.limit}, for one connection {share}",
                retry_after=_RETRY_AFTER,
            )
        self._held += size
        stream.held.append(size)

    def _hold(self, stream: Stream) -> None:
        """Count what of a reply waits to be taken."""
        if not stream.closed:
            stream.sending = stream.queued
            self._held += stream.queued
            self._host.budget.add(stream.queued)

    def _release(self, size: int) -> None:
        self._held -= size
        self._host.budget.release(size)

    def _top_up(self, stream: Stream, requests: Requests) -> None:
        """Let more requests in: what waits for the handler and what may come are one window."""
        window = RECEIVE_WINDOW - requests.waiting_bytes
        if stream.receive_window < window // 2 and not stream.is_ended:
            self._grant(stream, window)

    def _grant(self, stream: Stream, window: int) -> None:
        if not stream.closed:
            self._outbox.control(
                frames.window_update(stream.number, window - stream.receive_window)
            )
            stream.receive_window = window


async def _refuse(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
    """Answer what no one knows, once a message has come: some clients trip over an earlier end."""
    async for _ in requests:
        break
    raise StatusError(Code.UNIMPLEMENTED, f"there is no RPC {call.path[:200]}")
    yield b""  # type: ignore[unreachable]  # makes it a generator


_UNKNOWN: Final = Method(stream=_refuse)


def _trailers(call: Call) -> bytes:
    return STATUS_OK + metadata_fields(call.trailers) if call.trailers else STATUS_OK
