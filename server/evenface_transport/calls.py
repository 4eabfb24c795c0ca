"""The calls of one connection: from the header block that opens one to the trailers that end it."""

import logging
import math
from collections.abc import Callable
from typing import Final

from evenface_transport import frames, replies
from evenface_transport.answers import Answers
from evenface_transport.budget import Account
from evenface_transport.call import Call, Method, Peer
from evenface_transport.frames import ErrorCode
from evenface_transport.heads import RequestHead
from evenface_transport.host import Host
from evenface_transport.inflate import IDENTITY, encoding_error
from evenface_transport.messages import Assembler
from evenface_transport.outbox import Outbox
from evenface_transport.refused import Refused
from evenface_transport.status import Code, StatusError
from evenface_transport.stream import MESSAGE_BYTES, RECEIVE_WINDOW, Requests, Stream

_LOG = logging.getLogger(__name__)
# What a call takes besides the bytes of its messages, roughly.
_CALL_BYTES: Final = 4096
_NO_METHOD: Final = Method()
_LEAST_GRANT: Final = RECEIVE_WINDOW // 4
# gRPC's asyncio clients take a refusal that comes before they have sent anything for a fault of
# their own, so it waits for what they send, for so long.
_REFUSAL_SECONDS: Final = 0.1
_HALF_OPEN_SECONDS: Final = 1.0
_ASKED_BYTES: Final = 256
_SHARE: Final = 2  # one connection may hold one part in so many of the budget


class Calls:
    """The open calls of a connection.

    Args:
        host: Limits, budget and methods.
        outbox: Sends.
        peer: Who calls.

    Attributes:
        streams: Those that are open, by number.
        half_open: Answered ones that the peer has not ended yet, and since when.
    """

    def __init__(self, host: Host, outbox: Outbox, peer: Peer) -> None:
        self._host = host
        self._outbox = outbox
        self._peer = peer
        limits = host.limits
        least = limits.max_message_bytes + _CALL_BYTES + limits.max_header_bytes + MESSAGE_BYTES
        self._account = Account(host.budget, max(host.budget.limit // _SHARE, least))
        self._answers = Answers(host, outbox, self._account)
        self.streams: dict[int, Stream] = {}
        self.half_open: dict[int, float] = {}
        self._newest: tuple[int, RequestHead] | None = None
        self._beginning = b""
        self._due = math.inf

    @property
    def is_full(self) -> bool:
        """Whether there can be no other call; handlers slow to end after a reset count too."""
        return max(len(self.streams), self._answers.at_work) >= self._host.limits.max_streams

    def open(self, number: int, head: RequestHead, now: float, *, is_ended: bool) -> None:
        """Begin a call, or refuse it."""
        self._newest = number, head
        stream = self._stream(number, head, now)
        stream.is_ended = is_ended
        if not head.is_grpc:
            self._outbox.finish(stream, replies.UNSUPPORTED)
            return
        try:
            self._admit(stream, head)
        except StatusError as error:
            stream.refusal = error.with_traceback(None)
            self._due = min(self._due, now + _REFUSAL_SECONDS)
        if stream.method.unary is not None:
            stream.coming_since = now  # its one request, until it ends
        elif stream.refusal is None:
            stream.requests = self._requests(stream)
            self._answers.begin(stream)
        if is_ended:
            self.end(stream)

    def feed(self, stream: Stream, data: memoryview, at: int, end: int, now: float) -> None:
        """Take data of a request."""
        if stream.refusal is not None:
            self._answers.fail(stream, stream.refusal)
            return
        assembler = stream.assembler
        try:
            while at < end:
                if assembler.size < 0:
                    at = assembler.begin(data, at, end)
                    if assembler.size < 0:
                        break
                    if stream.method.refuse_request is not None:
                        stop = min(end, at + min(assembler.size, _ASKED_BYTES))
                        self._beginning = bytes(data[at:stop])
                        _ask_about(stream, self._beginning)
                    self._account.reserve(assembler.size + MESSAGE_BYTES)
                    stream.held.append(assembler.size + MESSAGE_BYTES)
                at, message = assembler.add(data, at, end)
                if message is not None:
                    self._take(stream, message)
        except StatusError as error:
            # The peer may be slow to hear of it, and go on. Its traceback would hold the stream.
            stream.refusal = error.with_traceback(None)
            self._remember(stream, error, self._answers.fail(stream, error))
            return
        if stream.coming_since is None and not assembler.is_between:
            stream.coming_since = now
        if stream.receive_window < RECEIVE_WINDOW // 2:
            self._top_up(stream)

    def go_on(self, stream: Stream) -> None:
        """More of a message has come in, which the peer may not be let send all of yet."""
        if stream.receive_window < min(RECEIVE_WINDOW // 2, stream.assembler.missing):
            self._top_up(stream)

    def end(self, stream: Stream) -> None:
        """The peer sends no more on a stream."""
        stream.is_ended = True
        stream.coming_since = None
        if stream.closed:
            return
        if stream.refusal is not None:
            self._answers.fail(stream, stream.refusal)
        elif not stream.assembler.is_between:
            self._answers.fail(stream, StatusError(Code.INTERNAL, "the request ends too early"))
        elif stream.requests is not None:
            stream.requests.end()
        elif stream.message is None:
            self._answers.fail(stream, StatusError(Code.INTERNAL, "there is no request"))
        else:
            message, stream.message = stream.message, None
            self._answers.begin(stream, message)

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
            self._answers.fail(stream, error)

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed."""
        if now < self._due:
            return
        self._due = math.inf
        for stream in list(self.streams.values()):
            if stream.refusal is not None:
                self._answers.fail(stream, stream.refusal)
            elif stream.call.deadline <= now:
                self._answers.fail(
                    stream, StatusError(Code.DEADLINE_EXCEEDED, "the deadline has passed")
                )
            else:
                self._due = min(self._due, stream.call.deadline)

    def check_pace(self, now: float) -> None:
        """End calls whose peer does not go on with a message."""
        slowest = now - self._host.limits.message_seconds
        for stream in list(self.streams.values()):
            if stream.requests is not None and stream.requests.unread:
                stream.coming_since = None  # it is we who make the peer wait
            if min(stream.coming_since or now, stream.going_since or now) < slowest:
                self._outbox.write(frames.reset(stream.number, ErrorCode.CANCEL))
                self.drop(stream)
        for number, since in list(self.half_open.items()):
            if now - since > _HALF_OPEN_SECONDS:
                del self.half_open[number]
                self._outbox.write(frames.reset(number, ErrorCode.NO_ERROR))

    def part(self, stream: Stream, now: float) -> None:
        """A reply has gone out whole.

        Peers that have not ended get some time to do so, as some trip over a reset, unless they are
        amid a message, of which nobody wants the rest.
        """
        if not stream.is_ended:
            self.leave(stream.number, now, is_amid=not stream.assembler.is_between)
        self.close(stream)

    def leave(self, number: int, now: float, *, is_amid: bool) -> None:
        """A call has been answered that its peer has not ended, and may be amid a message."""
        if is_amid or len(self.half_open) >= self._host.limits.max_streams:
            self._outbox.write(frames.reset(number, ErrorCode.NO_ERROR))
        else:
            self.half_open[number] = now

    def close(self, stream: Stream) -> None:
        """Forget a stream, whose reply has gone out whole or never will."""
        if stream.closed:
            return
        stream.closed = True
        self._account.release(stream.overhead + sum(stream.held) + stream.sending)
        self._outbox.drop(stream)
        stream.let_go()
        del self.streams[stream.number]

    def _stream(self, number: int, head: RequestHead, now: float) -> Stream:
        limits = self._host.limits
        deadline = math.inf if head.timeout is None else now + head.timeout
        self._due = min(self._due, deadline)
        method = self._host.methods.get(head.path, _NO_METHOD)
        stream = Stream(
            number,
            method,
            Call(head.path, head.metadata, deadline, self._peer, self._account),
            Assembler(
                min(limits.max_message_bytes, method.max_message_bytes),
                may_compress=head.encoding != IDENTITY,
            ),
            head.encoding,
            self._outbox.initial_window,
        )
        self.streams[number] = stream
        return stream

    def _remember(self, stream: Stream, error: StatusError, trailers: bytes) -> None:
        """Note how a request was refused for how it begins, if others that come now may be, too."""
        number, head = self._newest or (0, None)
        if error.alike is None or not trailers or head is None or number != stream.number:
            return
        beginning = self._beginning[: error.alike.length]
        if len(beginning) == error.alike.length:
            most = self._host.limits.max_message_bytes
            self._host.refused = Refused(error.alike, head, beginning, trailers, most)

    def _admit(self, stream: Stream, head: RequestHead) -> None:
        if stream.method is _NO_METHOD:
            raise StatusError(Code.UNIMPLEMENTED, f"there is no RPC {head.path[:200]}")
        error = head.problem or encoding_error(head.encoding)
        if error is None and stream.method.refuse is not None:
            error = _asked(stream.method.refuse, stream.call)
        if error is not None:
            raise error
        self._account.reserve(_CALL_BYTES + head.size)
        stream.overhead = _CALL_BYTES + head.size

    def _requests(self, stream: Stream) -> Requests:
        def on_take() -> None:
            stream.owed += 1
            if stream.receive_window < RECEIVE_WINDOW // 2:
                self._top_up(stream)

        return Requests(on_take, lambda message: self._answers.inflate(stream, message))

    def _take(self, stream: Stream, message: bytes) -> None:
        requests = stream.requests
        if stream.message is not None or (requests is not None and requests.is_ended):
            raise StatusError(Code.INTERNAL, "more than one request")
        if requests is not None:
            stream.coming_since = None
            requests.put(message)
            if stream.method.takes_one:
                requests.end()
        else:
            stream.message = message

    def _top_up(self, stream: Stream) -> None:
        """Let the peer send more: what waits to be read, and what may come, are one window.

        Only a message that the handler waits for comes in whole, however large.
        """
        assembler, requests = stream.assembler, stream.requests
        unread = requests.unread if requests is not None else 0
        needed = 0 if unread else assembler.missing
        begun = max(0, assembler.size) - assembler.missing
        window = max(needed, RECEIVE_WINDOW - unread - begun)
        increment = window - stream.receive_window
        if increment >= _LEAST_GRANT or stream.receive_window < needed:
            self._grant(stream, increment)

    def _grant(self, stream: Stream, increment: int) -> None:
        if not stream.is_ended and not stream.closed:
            stream.receive_window += increment
            self._outbox.write(frames.window_update(stream.number, increment))


def _ask_about(stream: Stream, beginning: bytes) -> None:
    """Ask the method whether it wants the request that begins so.

    Raises:
        StatusError: It does not.
    """
    refuse = stream.method.refuse_request
    if refuse is not None and not stream.assembler.is_compressed:
        error = _asked(lambda call: refuse(call, beginning), stream.call)
        if error is not None:
            raise error


def _asked(refuse: Callable[[Call], StatusError | None], call: Call) -> StatusError | None:
    try:
        return refuse(call)
    except Exception:  # noqa: BLE001 - the caller has to be told something
        _LOG.exception("a call could not be judged", extra={"path": call.path})
        return StatusError(Code.INTERNAL, "internal error")
