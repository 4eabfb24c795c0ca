"""What a connection sends: within the windows that the peer grants, taking turns over streams."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from evenface_transport.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADERS,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    ErrorCode,
    ProtocolError,
    frame,
)
from evenface_transport.headers import REPLY_HEAD
from evenface_transport.messages import prefix
from evenface_transport.stream import Stream

# What a peer that reads nothing can make us gather of replies to pings and the like.
_MAX_UNREAD_BYTES: Final = 2**20


class Outbox:
    """The sending half of a connection.

    Args:
        transport: Where bytes go.
        on_sent: Told of each stream whose reply has gone out whole.
    """

    def __init__(self, transport: asyncio.Transport, on_sent: Callable[[Stream], None]) -> None:
        self._transport = transport
        self._on_sent = on_sent
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._waiting: dict[Stream, None] = {}  # with data and window, in the order of their turns
        self.is_paused = False

    @property
    def initial_window(self) -> int:
        """Bytes that a new stream may send."""
        return self._initial_window

    def control(self, data: bytes) -> None:
        """Send frames that no window holds back.

        Raises:
            ProtocolError: The peer makes us send and does not read.
        """
        if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read")
        self._transport.write(data)

    def reply(self, stream: Stream, message: bytes, trailers: bytes | None) -> None:
        """Send a message; with trailers, the last one.

        Args:
            stream: The stream, which is open.
            message: Its bytes.
            trailers: Header block that ends the reply.
        """
        head = b"" if stream.has_head else _headers(stream.number, REPLY_HEAD)
        stream.has_head = True
        tail = None if trailers is None else _headers(stream.number, trailers, END_STREAM)
        size = len(message) + 5
        if size > min(self._window, stream.send_window, MAX_FRAME_BYTES) or self._is_busy(stream):
            self._queue(stream, head, prefix(len(message)) + message, tail)
            return
        self._window -= size
        stream.send_window -= size
        self._transport.write(
            b"".join((
                head, HEADER.pack(size >> 8, size & 0xFF, DATA, 0, stream.number),
                prefix(size - 5), message, tail or b"",
            ))
        )  # fmt: skip
        if tail is not None:
            self._on_sent(stream)

    def end(self, stream: Stream, trailers: bytes) -> None:
        """End a reply after what has been sent of it; without any, in one block."""
        self.finish(stream, trailers if stream.has_head else REPLY_HEAD + trailers)

    def finish(self, stream: Stream, block: bytes) -> None:
        """End a reply with a header block."""
        if stream.closed:
            return
        tail = _headers(stream.number, block, END_STREAM)
        if stream.queue:
            stream.tail = tail
        else:
            self._transport.write(tail)
            self._on_sent(stream)

    def drop(self, stream: Stream) -> None:
        """Forget what of a stream waits."""
        self._waiting.pop(stream, None)
        stream.queue.clear()
        stream.queued = 0
        _resolve(stream)

    def grant(self, increment: int) -> None:
        """The peer lets the connection send more.

        Raises:
            ProtocolError: More than there may be.
        """
        self._window += increment
        if self._window > MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        self.pump()

    def grant_stream(self, stream: Stream, increment: int) -> bool:
        """The peer lets a stream send more; whether that is still within bounds."""
        stream.send_window += increment
        if stream.queue:
            self._waiting[stream] = None
            self.pump()
        return stream.send_window <= MAX_WINDOW

    def change_initial_window(self, size: int, streams: list[Stream]) -> None:
        """The peer changes the window of all streams.

        Raises:
            ProtocolError: It cannot be that large.
        """
        if size > MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the initial window is too large")
        change, self._initial_window = size - self._initial_window, size
        for stream in streams:
            if not self.grant_stream(stream, change):
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")

    def pump(self) -> None:
        """Send what may be sent, a frame of each stream in turn."""
        while self._waiting and self._window > 0 and not self.is_paused:
            stream = next(iter(self._waiting))
            del self._waiting[stream]
            if stream.send_window > 0:
                self._send_frame(stream)

    def _is_busy(self, stream: Stream) -> bool:
        return self.is_paused or bool(stream.queue)

    def _queue(self, stream: Stream, head: bytes, data: bytes, tail: bytes | None) -> None:
        if head:
            self._transport.write(head)
        stream.queue.append(memoryview(data))
        stream.queued += len(data)
        stream.tail = tail
        stream.since = time.monotonic()
        self._waiting[stream] = None
        self.pump()

    def _send_frame(self, stream: Stream) -> None:
        data = stream.queue[0]
        size = min(len(data), self._window, stream.send_window, MAX_FRAME_BYTES)
        self._window -= size
        stream.send_window -= size
        stream.queued -= size
        header = HEADER.pack(size >> 8, size & 0xFF, DATA, 0, stream.number)
        self._transport.write(header + data[:size])
        if size < len(data):
            stream.queue[0] = data[size:]
        else:
            stream.queue.popleft()
        if stream.queue:
            self._waiting[stream] = None
        else:
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        stream.since = None
        _resolve(stream)
        if stream.tail is not None:
            self._transport.write(stream.tail)
            self._on_sent(stream)


def _headers(number: int, block: bytes, flags: int = 0) -> bytes:
    return frame(HEADERS, flags | END_HEADERS, number, block)


def _resolve(stream: Stream) -> None:
    if stream.drained is not None and not stream.drained.done():
        stream.drained.set_result(None)
