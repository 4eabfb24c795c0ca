"""The handlers at work: how they start, and what becomes of what they return and raise."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Final

from evenface_transport import replies
from evenface_transport.budget import Account
from evenface_transport.call import Call
from evenface_transport.host import Host
from evenface_transport.inflate import inflate
from evenface_transport.messages import Compressed
from evenface_transport.outbox import Outbox
from evenface_transport.status import Code, StatusError
from evenface_transport.stream import Requests, Stream

_LOG = logging.getLogger(__name__)
_GIVEN_UP: Final = "the server gave up the call"


class Answers:
    """Answers the calls of one connection.

    Args:
        host: Limits and methods.
        outbox: Sends.
        account: What the connection holds.
    """

    def __init__(self, host: Host, outbox: Outbox, account: Account) -> None:
        self._host = host
        self._outbox = outbox
        self._account = account
        self._loop = asyncio.get_running_loop()
        self.at_work = 0

    def begin(self, stream: Stream, message: bytes = b"") -> None:
        """Let the handler of a stream begin, with the message of a unary call."""
        if stream.requests is not None:
            work = self._answer_stream(stream, stream.requests)
        else:
            work = self._answer(stream, message)
        self._start(stream, work)

    def fail(self, stream: Stream, error: StatusError) -> bytes:
        """End a call that cannot be answered, or not any more; return the trailers."""
        if stream.closed or stream.tail is not None:
            return b""
        if stream.task is not None and stream.task is not asyncio.current_task():
            stream.call.ended = error.code
            stream.task.cancel()
        trailers = self._status(stream.call, error)
        self._outbox.end(stream, trailers)
        return trailers

    async def inflate(self, stream: Stream, message: bytes) -> bytes:
        """Return what a compressed message becomes, for the handler that has just taken it.

        Raises:
            StatusError: It cannot be inflated; the call has ended.
        """
        limit = stream.assembler.max_bytes
        try:
            inflated, reserved = await inflate(message, stream.encoding, limit, self._account)
        except StatusError as error:
            self.fail(stream, error)
            raise
        if stream.closed:  # the handler was cancelled, and goes on all the same
            self._account.release(reserved)
            raise asyncio.CancelledError
        stream.held[max(0, stream.owed - 1)] += reserved
        return inflated

    def _start(self, stream: Stream, work: Coroutine[None, None, None]) -> None:
        stream.task = task = self._loop.create_task(work)
        self.at_work += 1
        self._host.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.at_work -= 1
        self._host.tasks.discard(task)

    async def _answer(self, stream: Stream, message: bytes) -> None:
        answer = stream.method.unary
        try:
            if isinstance(message, Compressed):
                message = await self.inflate(stream, message)
            if answer is not None:
                work = answer(message, stream.call)
                del message  # the handler's alone, which may let go of it while it waits
                self._reply(stream, await work)
        except asyncio.CancelledError:
            self.fail(stream, StatusError(Code.UNAVAILABLE, _GIVEN_UP))
        except StatusError as error:
            self.fail(stream, error)
        except Exception:  # noqa: BLE001 - whatever it is, the peer learns of it
            self._crash(stream)

    async def _answer_stream(self, stream: Stream, requests: Requests) -> None:
        answer = stream.method.stream
        try:
            if answer is not None:
                async with aclosing(answer(requests, stream.call)) as messages:
                    async for message in messages:
                        if stream.closed or stream.tail is not None:
                            return
                        await self._send(stream, message)
                        del message  # the next one may be long in coming
                self._outbox.end(stream, _trailers(stream.call))
        except asyncio.CancelledError:
            self.fail(stream, StatusError(Code.UNAVAILABLE, _GIVEN_UP))
        except StatusError as error:
            self.fail(stream, error)
        except Exception:  # noqa: BLE001 - whatever it is, the peer learns of it
            self._crash(stream)

    def _reply(self, stream: Stream, message: bytes) -> None:
        """Send the one reply of a unary call."""
        if not stream.closed and stream.tail is None:
            self._outbox.reply(stream, message, _trailers(stream.call))
            self._hold(stream)

    async def _send(self, stream: Stream, message: bytes) -> None:
        """Send one reply of a stream; return once the peer has taken it."""
        self._outbox.reply(stream, message, None)
        if stream.queue:
            stream.drained = self._loop.create_future()
            self._hold(stream)
            await stream.drained
        if stream.closed:  # and all that it held was let go
            return
        self._account.release(stream.sending)
        stream.sending = 0
        if stream.owed and stream.held:
            stream.owed -= 1
            self._account.release(stream.held.popleft())

    def _hold(self, stream: Stream) -> None:
        """Count what of a reply waits to be taken."""
        if not stream.closed and stream.queued:
            stream.sending = stream.queued
            self._account.add(stream.queued)

    def _crash(self, stream: Stream) -> None:
        _LOG.exception("a handler failed", extra={"path": stream.call.path})
        self.fail(stream, StatusError(Code.INTERNAL, "internal error"))

    def _status(self, call: Call, error: StatusError) -> bytes:
        """Encode how a call ends, in the service's own way where that can be sent."""
        try:
            told = self._host.explain(error)
            block = (
                replies.status_fields(told.code, told.text)
                + replies.metadata_fields(call.trailers)
                + replies.error_fields(tuple(told.trailers))
            )
        except Exception:  # noqa: BLE001 - the peer has to be told something
            _LOG.exception("an error cannot be explained", extra={"path": call.path})
        else:
            if len(block) <= replies.MAX_BLOCK_BYTES:
                return block
            _LOG.warning("an error is too long to tell all of it", extra={"path": call.path})
        return replies.status_fields(error.code, error.text)


def _trailers(call: Call) -> bytes:
    if not call.trailers:
        return replies.STATUS_OK
    return replies.STATUS_OK + replies.metadata_fields(call.trailers)
