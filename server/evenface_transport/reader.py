"""Bytes off the network to frames.

Data is handed on as it comes, in whatever pieces; all other frames are short, and wait until they
are whole.
"""

from collections.abc import Callable
from typing import Final, Protocol

from evenface_transport import frames, payloads
from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.stream import Stream

DATA_FRAME_BYTES: Final = 2**20  # peers that make use of it save both sides work
MAX_FRAME_BYTES: Final = 2**16  # of all other kinds
BUFFER_BYTES: Final = 2**18

Handler = Callable[[int, int, bytes], None]


class Sink(Protocol):
    """Who takes frames of data."""

    def on_call(self, number: int, block: bytes, at: int, size: int) -> int:
        """Take a whole header block; return where in the buffer, or how far after it, to go on."""

    def on_data(self, number: int, flags: int, length: int, missing: int) -> Stream | None:
        """Account for a frame with `missing` bytes of data; return who waits for it, if anyone."""

    def on_more(self, stream: Stream, at: int, end: int) -> bool:
        """Take a whole frame of data like the one before, if nothing about it is special."""

    def on_piece(self, stream: Stream, data: memoryview, at: int, end: int) -> None:
        """Take data[at:end] of a stream."""

    def on_last(self, stream: Stream) -> None:
        """The peer sends no more on a stream."""


class Reader:
    """Takes frames from what a peer sends.

    Args:
        buffer: Where bytes come in; others use it too, so that it is empty after each look.
        sink: Takes data.
        handlers: Take other frames (flags, stream, payload), by kind.
        on_unknown: Takes those of all other kinds.

    Attributes:
        buffer: Where bytes come in.
        is_greeted: Whether the peer has said the first words of HTTP/2.
        expected: The kind of frame that must come next; None where any may.
        is_stopped: Whether nothing more is of interest.
    """

    def __init__(
        self, buffer: memoryview, sink: Sink, handlers: dict[int, Handler], on_unknown: Handler
    ) -> None:
        self.buffer = buffer
        self._sink = sink
        self._handlers = handlers
        self._on_unknown = on_unknown
        self._rest = b""
        # Of a frame that came in part: who waits, data to come, padding after it, whether it ends.
        self._stream: Stream | None = None
        self._latest: Stream | None = None  # that a whole frame of data came for
        self._missing = 0
        self._padding = 0
        self._is_last = False
        self.is_greeted = False
        self.expected: int | None = frames.SETTINGS
        self.is_stopped = False

    def room(self) -> memoryview:
        """Return where the next bytes go."""
        size = len(self._rest)
        if not size:
            return self.buffer
        self.buffer[:size] = self._rest
        return self.buffer[size:]

    def take(self, count: int) -> None:
        """Look at so many bytes that have come.

        Raises:
            ProtocolError: They break a rule of HTTP/2.
        """
        size = len(self._rest) + count
        at = 0
        if self._missing or self._padding:
            at = self._go_on(0, size)
        elif not self.is_greeted:
            at = self._greet(size)
        if self.is_greeted:
            at = self._read(at, size)
        self._rest = bytes(self.buffer[at:size]) if at < size and not self.is_stopped else b""

    def _greet(self, size: int) -> int:
        self.is_greeted = payloads.is_preface(bytes(self.buffer[:size]))
        return len(frames.PREFACE) if self.is_greeted else 0

    def _read(self, at: int, size: int) -> int:
        """Take all frames that are whole, and what there is of data; return where they end."""
        buffer, unpack, header_bytes = self.buffer, frames.HEADER.unpack_from, frames.HEADER_BYTES
        while size - at >= header_bytes and not self.is_stopped:
            high, low, kind, flags, number = unpack(buffer, at)
            length = high << 8 | low
            number &= frames.STREAM_MASK
            start = at + header_bytes
            if self.expected is not None and kind != self.expected:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a frame of kind {kind} comes early")
            if kind == frames.DATA:
                if length > DATA_FRAME_BYTES:
                    raise _too_large(length)
                if flags & frames.PADDED and start == size and length:
                    break  # until it is known how much is padding
                at = self._begin(number, flags, length, start, size)
                continue
            if length > MAX_FRAME_BYTES:
                raise _too_large(length)
            if start + length > size:
                break
            at = start + length
            payload = bytes(buffer[start:at])
            if kind == frames.HEADERS and flags == frames.END_HEADERS:
                at = self._sink.on_call(number, payload, at, size)
                if at > size:
                    self._missing, at = at - size, size
            else:
                self._handlers.get(kind, self._on_unknown)(flags, number, payload)
        return at

    def _begin(self, number: int, flags: int, length: int, at: int, size: int) -> int:
        """Take what there is of a frame of data; return where that ends."""
        latest, end = self._latest, at + length
        is_next = latest is not None and number == latest.number and not flags and end <= size
        if latest is not None and is_next and self._sink.on_more(latest, at, end):
            return end
        missing, padding = length, 0
        if flags & frames.PADDED:
            padding = payloads.padding(length, self.buffer[at] if length else 0)
            missing -= 1 + padding
            at += 1
        self._stream = self._sink.on_data(number, flags, length, missing)
        self._missing, self._padding = missing, padding
        self._is_last = bool(flags & frames.END_STREAM)
        return self._go_on(at, size)

    def _go_on(self, at: int, size: int) -> int:
        end = min(size, at + self._missing)
        stream = self._stream
        if at < end:
            self._missing -= end - at
            if stream is not None and not stream.closed:
                stream.is_ended = self._is_last and not self._missing
                self._sink.on_piece(stream, self.buffer, at, end)
        if self._missing:
            return end
        if self._is_last and stream is not None:
            self._sink.on_last(stream)
        self._latest = None if self._is_last else stream
        self._stream, self._is_last = None, False
        padding = min(self._padding, size - end)
        self._padding -= padding
        return end + padding


def _too_large(length: int) -> ProtocolError:
    return ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
