"""What a peer's frames mean: data and header blocks become calls, the rest is book-keeping."""

import logging
from collections.abc import Callable
from typing import Final

from evenface_transport import frames, payloads
from evenface_transport.calls import Calls
from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.heads import HeadDecoder, MalformedRequest
from evenface_transport.host import Host
from evenface_transport.lifetime import Lifetime
from evenface_transport.outbox import Outbox
from evenface_transport.patience import Patience
from evenface_transport.reader import Reader
from evenface_transport.refused import Refused, Request
from evenface_transport.stream import Stream

_LOG = logging.getLogger(__name__)

WINDOW: Final = 64 * 2**20
# What a call that was answered makes up for: the pings, windows and resets that come with calls.
GAIN: Final = 8.0
LAST_PING: Final = b"evenface"
_LEAST_DATA_BYTES: Final = 1024
_LARGE_BLOCK_BYTES: Final = 1024
_RESET_COST: Final = 4.0  # a handler was started for nothing


class Incoming:
    """Takes the frames of one connection.

    Args:
        host: The server.
        calls: What the frames are about.
        outbox: Sends.
        life: Of the connection.
        patience: What the peer may make us do for little.
        on_parting: Told when the peer may have nothing left to do here.

    Attributes:
        reader: Makes frames of bytes.
        last_taken: The last stream that is answered or refused.
    """

    def __init__(
        self,
        host: Host,
        calls: Calls,
        outbox: Outbox,
        life: Lifetime,
        patience: Patience,
        on_parting: Callable[[], None],
    ) -> None:
        self._host = host
        self._calls = calls
        self._outbox = outbox
        self._life = life
        self._patience = patience
        self._on_parting = on_parting
        self._heads = HeadDecoder(host.limits.max_header_bytes)
        self._block: tuple[int, int, bytes] = 0, 0, b""  # stream, flags, header block so far
        self._window = WINDOW
        self._last_begun = self.last_taken = 0
        self.reader = Reader(
            host.buffer,
            self,
            {
                frames.HEADERS: self._on_headers,
                frames.PRIORITY: self._on_priority,
                frames.RST_STREAM: self._on_reset,
                frames.SETTINGS: self._on_settings,
                frames.PUSH_PROMISE: self._on_push,
                frames.PING: self._on_ping,
                frames.WINDOW_UPDATE: self._on_window_update,
                frames.CONTINUATION: self._on_continuation,
            },
            self._on_unknown,
        )

    def on_call(self, number: int, block: bytes, at: int, size: int) -> int:
        """Begin a call, or refuse it like the one before.

        Args:
            number: Of the stream.
            block: All of its header block.
            at: Where in the buffer the next frame begins.
            size: Bytes in the buffer.

        Returns:
            Where the next frame to look at begins; that may be yet to come.
        """
        refused = self._host.refused
        if refused is not None:
            if refused.alike.is_over:
                self._host.refused = None
            elif self._heads.known(block) == refused.head and self._may_open(number):
                request = refused.match(number, self.reader.buffer, at, size)
                if request is not None:
                    self._refuse(number, refused, request)
                    return request.end
        self._on_block(frames.END_HEADERS, number, block)
        return at

    def _may_open(self, number: int) -> bool:
        is_next = number > self._last_begun and number % 2 == 1
        return is_next and not self._life.has_left and not self._outbox.is_paused

    def _refuse(self, number: int, refused: Refused, request: Request) -> None:
        """Refuse a call like another; what comes of its request is thrown away."""
        refused.alike.calls += 1
        self._last_begun = self.last_taken = number
        self._account(request.length)
        self._outbox.refuse(number, refused.trailers)
        if not request.is_ended:
            self._calls.leave(number, self._life.heard, is_amid=not request.is_whole)
        self._life.used = self._life.heard
        self._patience.earn(GAIN)

    def _account(self, length: int) -> None:
        """Account for data."""
        self._window -= length
        if self._window < 0:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window")
        if self._window < WINDOW // 2:
            self._outbox.write(frames.window_update(0, WINDOW - self._window))
            self._window = WINDOW

    def on_data(self, number: int, flags: int, length: int, missing: int) -> Stream | None:
        """Account for a frame of data; return the stream that waits for it, if it still does.

        Args:
            number: Of the stream.
            flags: Of the frame.
            length: Of its payload.
            missing: Bytes of the payload that are data; the others are padding.
        """
        self._account(length)
        stream = self._calls.streams.get(number)
        if stream is None:
            self._check_begun(number)
            if length < _LEAST_DATA_BYTES:
                self._patience.spend()
            if flags & frames.END_STREAM:
                self._calls.half_open.pop(number, None)
            return None
        if stream.is_ended:
            raise ProtocolError(ErrorCode.STREAM_CLOSED, f"data after the end of stream {number}")
        if length > stream.receive_window:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window")
        stream.receive_window -= length - missing
        if missing == 0 and not flags & frames.END_STREAM:
            self._patience.spend()
        return stream

    def on_more(self, stream: Stream, at: int, end: int) -> bool:
        """Take a whole frame amid a message, as most of large messages are, at little cost."""
        length = end - at
        if stream.closed or stream.refusal is not None or not 0 < length <= stream.receive_window:
            return False
        if not stream.assembler.extend(self.reader.buffer, at, end):
            return False
        self._account(length)
        stream.receive_window -= length
        self._calls.go_on(stream)
        return True

    def on_piece(self, stream: Stream, data: memoryview, at: int, end: int) -> None:
        """Take data of a request."""
        stream.receive_window -= end - at
        self._calls.feed(stream, data, at, end, self._life.heard)

    def on_last(self, stream: Stream) -> None:
        """A request has come in whole."""
        self._calls.end(stream)

    def _check_begun(self, number: int) -> None:
        """Frames may still come for a stream that has ended, not for one that has not begun."""
        if number == 0 or number % 2 == 0 or number > self._last_begun:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"there is no stream {number}")

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        self._on_block(flags, number, payloads.header_block(flags, payload))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        first, first_flags, block = self._block
        if self.reader.expected != frames.CONTINUATION or first != number:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._patience.spend()
        self._on_block(first_flags | flags & frames.END_HEADERS, number, block + payload)

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        if len(block) > self._heads.max_block:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "the header block is too large")
        if not flags & frames.END_HEADERS:
            self._block = number, flags, block
            self.reader.expected = frames.CONTINUATION
            return
        self.reader.expected = None
        if len(block) > _LARGE_BLOCK_BYTES:
            self._patience.spend(len(block) / _LARGE_BLOCK_BYTES)
        is_ended = bool(flags & frames.END_STREAM)
        if number <= self._last_begun:
            self._on_trailers(number, block, is_ended=is_ended)
        elif number % 2 == 0:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"stream {number} is the server's")
        else:
            self._open(number, block, is_ended=is_ended)

    def _open(self, number: int, block: bytes, *, is_ended: bool) -> None:
        self._last_begun = number
        try:
            head = self._heads.decode(block)
        except MalformedRequest as error:
            _LOG.debug("malformed request: %s", error)
            self._patience.spend()
            self._outbox.write(frames.reset(number, ErrorCode.PROTOCOL_ERROR))
            return
        if self._life.has_left:
            self._patience.spend()  # the last GOAWAY said so: the peer calls elsewhere
            return
        self.last_taken = number
        if self._calls.is_full:
            self._patience.spend()
            self._outbox.write(frames.reset(number, ErrorCode.REFUSED_STREAM))
            return
        self._life.used = self._life.heard
        self._calls.open(number, head, self._life.heard, is_ended=is_ended)

    def _on_trailers(self, number: int, block: bytes, *, is_ended: bool) -> None:
        self._check_begun(number)
        self._heads.skip(block)
        self._patience.spend()
        stream = self._calls.streams.get(number)
        if stream is None:
            self._calls.half_open.pop(number, None)
            return
        if stream.is_ended:
            raise ProtocolError(ErrorCode.STREAM_CLOSED, f"trailers after the end of {number}")
        if not is_ended:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a second header block")
        self._calls.end(stream)

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        payloads.check_size(payload, payloads.PRIORITY_BYTES)
        payloads.check_stream(number)
        self._patience.spend()

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        payloads.check_size(payload, payloads.LONG_BYTES)
        self._check_begun(number)
        stream = self._calls.streams.get(number)
        self._patience.spend(1.0 if stream is None else _RESET_COST)
        if stream is None:
            self._calls.half_open.pop(number, None)
        else:
            self._calls.drop(stream)
            self._on_parting()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        payloads.check_connection(number)
        self._patience.spend()
        if flags & frames.ACK:
            payloads.check_size(payload, 0)
            return
        self.reader.expected = None
        values = payloads.settings(payload)
        # First of all: what is sent after the answer, and only that, may follow the new values.
        self._outbox.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        window = values.get(frames.SETTINGS_INITIAL_WINDOW_SIZE)
        if window is not None:
            self._outbox.change_initial_window(window, list(self._calls.streams.values()))
        frame_bytes = values.get(frames.SETTINGS_MAX_FRAME_SIZE)
        if frame_bytes is not None:
            self._outbox.change_frame_size(frame_bytes)

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        payloads.check_connection(number)
        payloads.check_size(payload, payloads.PING_BYTES)
        self._patience.spend()
        if not flags & frames.ACK:
            self._outbox.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == LAST_PING and self._life.is_leaving and not self._life.has_left:
            self.take_leave()

    def take_leave(self) -> None:
        """Take no new calls: the peer knows, or has had the time to."""
        self._life.has_left = True
        self._outbox.write(frames.goaway(self.last_taken, ErrorCode.NO_ERROR))
        self._on_parting()

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        increment = payloads.increment(payload)
        if number == 0:
            self._outbox.grant(increment)
            return
        stream = self._calls.streams.get(number)
        if stream is not None:
            self._outbox.grant_stream(stream, increment)
        else:
            self._check_begun(number)
            self._patience.spend()

    def _on_push(self, flags: int, number: int, payload: bytes) -> None:
        del flags, number, payload
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "clients do not push")

    def _on_unknown(self, flags: int, number: int, payload: bytes) -> None:
        """GOAWAY, after which the peer closes by itself, and what RFC 9113 says to ignore."""
        del flags, number, payload
        self._patience.spend()
