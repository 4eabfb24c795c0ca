"""One connection: frames in, calls out. HTTP/2 (RFC 9113) as far as gRPC needs it.

Whatever breaks the rules of the connection closes it; what breaks those of a stream ends that one.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, cast

from evenface_transport import frames, payloads
from evenface_transport.call import Peer
from evenface_transport.calls import Calls
from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.headers import HeadDecoder, MalformedRequest
from evenface_transport.host import Host
from evenface_transport.outbox import Outbox
from evenface_transport.status import Code, StatusError
from evenface_transport.stream import RECEIVE_WINDOW, Stream

_LOG = logging.getLogger(__name__)

_WINDOW: Final = 64 * 2**20
# Frames that cost work and bring none: so many at once, so many a second.
_IDLE_FRAMES, _IDLE_FRAMES_PER_SECOND = 10_000.0, 1_000.0
_LAST_PING: Final = b"evenface"
_LAST_PING_SECONDS: Final = 1.0
_HALF_OPEN_SECONDS: Final = 1.0


class Connection(asyncio.Protocol):
    """Speaks HTTP/2 with one peer.

    Args:
        host: The server.
        max_age: Seconds after which the peer is asked to connect anew.
    """

    _transport: asyncio.Transport
    _outbox: Outbox
    calls: Calls

    def __init__(self, host: Host, max_age: float) -> None:
        self._host = host
        self._max_age = max_age
        self._born = self._heard = self._used = time.monotonic()
        self._rest = b""
        self._is_greeted = False
        self._block: tuple[int, int, bytes] | None = None  # stream, flags, header block so far
        self._heads = HeadDecoder(host.limits.max_header_bytes)
        self._window = _WINDOW
        self._last_stream = 0
        self._idle_frames = _IDLE_FRAMES
        self._pinged: float | None = None
        self._half_open: dict[int, float] = {}  # answered calls that the peer has not ended
        self._leaving: float | None = None  # since the first GOAWAY
        self._has_left = False  # takes no new streams
        self._on_frame: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_unknown, self._on_headers, self._on_priority, self._on_reset,
            self._on_settings, self._on_push, self._on_ping, self._on_unknown,
            self._on_window_update, self._on_continuation,
        )  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are, without deriving from it
        self._transport = transport
        self._outbox = Outbox(transport, self._on_sent)
        self._host.joined(self)
        self.calls = Calls(self._host, self._outbox, _peer(transport))
        transport.write(
            frames.settings({
                frames.SETTINGS_MAX_CONCURRENT_STREAMS: self._host.limits.max_streams,
                frames.SETTINGS_INITIAL_WINDOW_SIZE: RECEIVE_WINDOW,
                frames.SETTINGS_MAX_HEADER_LIST_SIZE: self._host.limits.max_header_bytes,
            })
            + frames.window_update(0, _WINDOW - frames.DEFAULT_WINDOW)
        )  # fmt: skip

    def connection_lost(self, error: Exception | None) -> None:
        """Drop all calls."""
        del error
        self.calls.drop_all()
        self._host.lost(self)

    def pause_writing(self) -> None:
        """The peer's network is behind."""
        self._outbox.is_paused = True

    def resume_writing(self) -> None:
        """The peer's network has caught up."""
        self._outbox.is_paused = False
        self._outbox.pump()

    def data_received(self, data: bytes) -> None:
        """Take bytes off the network."""
        if self._transport.is_closing():
            return
        try:
            self._receive(self._rest + data if self._rest else data)
        except ProtocolError as error:
            self.abort(error.code, str(error))

    def leave(self) -> None:
        """Ask the peer to connect anew; end once its calls are answered."""
        if self._leaving is None:
            self._leaving = time.monotonic()
            self._transport.write(
                frames.goaway(frames.MAX_WINDOW, ErrorCode.NO_ERROR)
                + frames.frame(frames.PING, 0, 0, _LAST_PING)
            )

    def abort(self, code: ErrorCode, problem: str) -> None:
        """Close at once, saying why."""
        if not self._transport.is_closing():
            _LOG.debug("connection closed: %s", problem)
            self._transport.write(frames.goaway(self._last_stream, code, problem))
            self._transport.close()

    def refuse(self, error: StatusError) -> None:
        """End the calls that are still at work, and the connection."""
        self.calls.refuse_all(error)
        self.abort(ErrorCode.NO_ERROR, "")

    def tick(self, now: float, elapsed: float) -> None:
        """Look after time: deadlines, silence, idleness and age.

        Args:
            now: The time.
            elapsed: Seconds since the last tick.
        """
        self._idle_frames = min(_IDLE_FRAMES, self._idle_frames + elapsed * _IDLE_FRAMES_PER_SECOND)
        try:
            self.calls.tick(now)
            self._reset_half_open(now)
            self._check_silence(now)
        except ProtocolError as error:
            self.abort(error.code, str(error))
        self._check_age(now)

    def _check_silence(self, now: float) -> None:
        limits = self._host.limits
        if self._pinged is None and now - self._heard > limits.ping_seconds:
            self._pinged = now
            self._outbox.control(frames.frame(frames.PING, 0, 0, b"\0" * payloads.PING_BYTES))
        elif self._pinged is not None and now - self._pinged > limits.answer_seconds:
            self._transport.abort()

    def _check_age(self, now: float) -> None:
        limits = self._host.limits
        if self._leaving is None:
            is_idle = not self.calls.streams and now - self._used > limits.idle_seconds
            if is_idle or now - self._born > self._max_age:
                self.leave()
        elif now - self._leaving > limits.age_grace_seconds:
            self.refuse(StatusError(Code.UNAVAILABLE, "the connection is too old"))
        elif now - self._leaving > _LAST_PING_SECONDS:
            self._take_leave()

    def _take_leave(self) -> None:
        """Take no new streams: the peer knows, or has had the time to."""
        if not self._has_left:
            self._has_left = True
            self._transport.write(frames.goaway(self._last_stream, ErrorCode.NO_ERROR))
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._has_left and not self.calls.streams:
            self._transport.close()

    def _on_sent(self, stream: Stream) -> None:
        if not stream.is_ended:
            self._leave_open(stream)
        self.calls.close(stream)
        self._used = self._heard
        self._close_if_done()

    def _leave_open(self, stream: Stream) -> None:
        """Let the peer end its half of an answered call by itself: some trip over a reset."""
        if stream.assembler.missing or len(self._half_open) >= self._host.limits.max_streams:
            self._outbox.control(frames.reset(stream.number, ErrorCode.NO_ERROR))
        else:
            self._half_open[stream.number] = self._heard

    def _reset_half_open(self, now: float) -> None:
        for number, since in list(self._half_open.items()):
            if now - since > _HALF_OPEN_SECONDS:
                del self._half_open[number]
                self._outbox.control(frames.reset(number, ErrorCode.NO_ERROR))

    def _receive(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._pinged = None
        at, size = 0, len(data)
        if not self._is_greeted:
            self._is_greeted = payloads.is_preface(data)
            at = len(frames.PREFACE) if self._is_greeted else 0
        if not self._is_greeted:
            self._rest = data
            return
        unpack, kinds = frames.HEADER.unpack_from, len(self._on_frame)
        while size - at >= frames.HEADER_BYTES and not self._transport.is_closing():
            high, low, kind, flags, number = unpack(data, at)
            length = high << 8 | low
            if length > frames.MAX_FRAME_BYTES:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            start = at + frames.HEADER_BYTES
            if start + length > size:
                break
            at = start + length
            if self._block is not None and kind != frames.CONTINUATION:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a header block does not go on")
            if kind == frames.DATA:
                self._on_data(flags, number & frames.STREAM_MASK, data, start, at)
            else:
                handle = self._on_frame[kind] if kind < kinds else self._on_unknown
                handle(flags, number & frames.STREAM_MASK, data[start:at])
        self._rest = data[at:]

    def _on_data(self, flags: int, number: int, data: bytes, at: int, end: int) -> None:
        length = end - at
        self._window -= length
        if self._window < 0:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window")
        if self._window < _WINDOW // 2:
            self._outbox.control(frames.window_update(0, _WINDOW - self._window))
            self._window = _WINDOW
        if flags & frames.PADDED:
            at, end = payloads.unpadded(data, at, end)
        stream = self.calls.streams.get(number)
        if stream is None or stream.is_ended:
            self._check_known(number)
            if flags & frames.END_STREAM:
                self._half_open.pop(number, None)
            return
        stream.receive_window -= length
        if stream.receive_window < 0:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window")
        if at < end:
            self.calls.feed(stream, data, at, end, self._heard)
        elif not flags & frames.END_STREAM:
            self._count_idle()
        if flags & frames.END_STREAM:
            self.calls.end(stream)

    def _check_known(self, number: int) -> None:
        """Frames may still come for a stream that has ended, not for one that has not begun."""
        self._count_idle()
        if number == 0 or number % 2 == 0 or number > self._last_stream:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"there is no stream {number}")

    def _count_idle(self) -> None:
        self._idle_frames -= 1
        if self._idle_frames < 0:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames to no purpose")

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        self._on_block(flags, number, payloads.header_block(flags, payload))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, block = self._block
        self._count_idle()
        self._on_block(first_flags | flags & frames.END_HEADERS, number, block + payload)

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        if len(block) > self._host.limits.max_header_bytes:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "the header block is too large")
        if not flags & frames.END_HEADERS:
            self._block = number, flags, block
            return
        self._block = None
        is_ended = bool(flags & frames.END_STREAM)
        if number <= self._last_stream:
            self._on_trailers(number, block, is_ended=is_ended)
            return
        if number % 2 == 0:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"stream {number} is the server's")
        self._last_stream = number
        self._used = self._heard
        try:
            head = self._heads.decode(block)
        except MalformedRequest:
            self._outbox.control(frames.reset(number, ErrorCode.PROTOCOL_ERROR))
            self._count_idle()
            return
        if self._has_left:
            self._outbox.control(frames.reset(number, ErrorCode.REFUSED_STREAM))
        else:
            self.calls.open(number, head, self._heard, is_ended=is_ended)

    def _on_trailers(self, number: int, block: bytes, *, is_ended: bool) -> None:
        self._heads.skip(block)
        self._count_idle()
        stream = self.calls.streams.get(number)
        if stream is None or stream.is_ended:
            self._check_known(number)
        elif not is_ended:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a second header block")
        else:
            self.calls.end(stream)

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        payloads.check_size(payload, payloads.PRIORITY_BYTES)
        payloads.check_stream(number)
        self._count_idle()

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        payloads.check_size(payload, payloads.LONG_BYTES)
        self._count_idle()
        stream = self.calls.streams.get(number)
        self._half_open.pop(number, None)
        if stream is None:
            self._check_known(number)
        else:
            self.calls.drop(stream)
            self._close_if_done()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        payloads.check_connection(number)
        self._count_idle()
        if flags & frames.ACK:
            payloads.check_size(payload, 0)
            return
        for key, value in payloads.settings(payload):
            if key == frames.SETTINGS_INITIAL_WINDOW_SIZE:
                self._outbox.change_initial_window(value, list(self.calls.streams.values()))
        self._outbox.control(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        payloads.check_connection(number)
        payloads.check_size(payload, payloads.PING_BYTES)
        if flags & frames.ACK:
            if payload == _LAST_PING and self._leaving is not None:
                self._take_leave()
            return
        self._count_idle()
        self._outbox.control(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        increment = payloads.increment(payload)
        stream = self.calls.streams.get(number)
        if number == 0:
            self._outbox.grant(increment)
        elif stream is None:
            self._check_known(number)
        elif not self._outbox.grant_stream(stream, increment):
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")

    def _on_push(self, flags: int, number: int, payload: bytes) -> None:
        del flags, number, payload
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "clients do not push")

    def _on_unknown(self, flags: int, number: int, payload: bytes) -> None:
        """GOAWAY, after which the peer closes by itself, and what RFC 9113 says to ignore."""
        del flags, number, payload
        self._count_idle()


def _peer(transport: asyncio.Transport) -> Peer:
    tls: Any = transport.get_extra_info("ssl_object")
    address = transport.get_extra_info("peername")
    shown = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
    return Peer(shown, tls.getpeercert() if tls is not None else None)
