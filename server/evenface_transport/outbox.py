"""What a connection sends: within the windows that the peer grants, taking turns over streams.

What is sent within one turn of the event loop goes to the network together.
"""

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
    MAX_WINDOW,
    MIN_FRAME_BYTES,
    ErrorCode,
    ProtocolError,
    frame,
)
from evenface_transport.messages import PREFIX, PREFIX_BYTES
from evenface_transport.patience import Patience
from evenface_transport.replies import EMPTY_TABLE, REPLY_HEAD
from evenface_transport.stream import Stream

# What a peer that reads nothing can make us keep of replies to pings and the like.
_MAX_UNREAD_BYTES: Final = 2**20
_MAX_GATHERED_BYTES: Final = 2**16
# What one stream sends before it is the next one's turn.
_TURN_BYTES: Final = 2**16
_SMALL_FRAME_BYTES: Final = 512
_STREAMS_A_CHANGE: Final = 16


class Outbox:
    """The sending half of a connection.

    Args:
        transport: Where bytes go.
        patience: What the peer may make us do for little.
        on_sent: Told of each stream whose reply has gone out whole.
        on_stuck: Told that the peer makes us send and does not read.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        patience: Patience,
        on_sent: Callable[[Stream], None],
        on_stuck: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._patience = patience
        self._on_sent = on_sent
        self._on_stuck = on_stuck
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._before_headers = EMPTY_TABLE
        self._window = DEFAULT_WINDOW
        self._frame_bytes = MIN_FRAME_BYTES
        self._initial_window = DEFAULT_WINDOW
        # In the order of their turns: those with data, and those that have but to end.
        self._waiting: dict[Stream, None] = {}
        self._ending: dict[Stream, None] = {}
        self._dribbles = 0
        self._is_paused = False
        self._is_closed = False

    @property
    def initial_window(self) -> int:
        """Bytes that a new stream may send."""
        return self._initial_window

    def write(self, data: bytes) -> None:
        """Send frames that no window holds back."""
        if self._is_closed:
            return
        if not self._gathered:
            self._loop.call_soon(self.flush)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes > _MAX_GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand on what was gathered."""
        gathered, transport = self._gathered, self._transport
        if not gathered:
            return
        data = gathered[0] if len(gathered) == 1 else b"".join(gathered)
        gathered.clear()
        self._gathered_bytes = 0
        if not transport.is_closing():
            transport.write(data)
            if transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
                self._on_stuck()

    def close(self) -> None:
        """Send nothing more than what was gathered."""
        self.flush()
        self._is_closed = True

    def reply(self, stream: Stream, message: bytes, trailers: bytes | None) -> None:
        """Send a message; with trailers, the last one.

        Args:
            stream: The stream, which is open.
            message: Its bytes.
            trailers: Header block that ends the reply.
        """
        size = len(message) + PREFIX_BYTES
        head = b"" if stream.has_head else self._headers(stream.number, REPLY_HEAD)
        tail = b"" if trailers is None else self._headers(stream.number, trailers, END_STREAM)
        stream.has_head = True
        if not self._fits(stream, size):
            self.write(head)
            self._queue(stream, message, tail or None)
            return
        prefix = PREFIX.pack(0, size - PREFIX_BYTES)
        if size <= self._frame_bytes:  # as nearly all are
            frame_head = HEADER.pack(size >> 8, size & 0xFF, DATA, 0, stream.number)
            self.write(b"".join((head, frame_head, prefix, message, tail)))
        else:
            self.write(b"".join((head, *self._data(stream.number, prefix + message), tail)))
        self._window -= size
        stream.send_window -= size
        if tail:
            self._on_sent(stream)

    def end(self, stream: Stream, trailers: bytes) -> None:
        """End a reply after what has been sent of it; without any, in one block."""
        self.finish(stream, trailers if stream.has_head else REPLY_HEAD + trailers)

    def finish(self, stream: Stream, block: bytes) -> None:
        """End a reply with a header block."""
        if stream.closed or stream.tail is not None:
            return
        stream.tail = self._headers(stream.number, block, END_STREAM)
        if stream.queue:
            return
        if self._is_paused:
            stream.going_since = time.monotonic()
            self._ending[stream] = None
        else:
            self._finish(stream)

    def refuse(self, number: int, trailers: bytes) -> None:
        """End a call that never became a stream."""
        self.write(self._headers(number, REPLY_HEAD + trailers, END_STREAM))

    def drop(self, stream: Stream) -> None:
        """Forget what of a stream waits."""
        self._waiting.pop(stream, None)
        self._ending.pop(stream, None)
        stream.queue.clear()
        stream.queued = 0
        _resolve(stream)

    @property
    def is_paused(self) -> bool:
        """Whether what is said now has to wait."""
        return self._is_paused

    def pause(self) -> None:
        """The network is behind."""
        self._is_paused = True

    def resume(self) -> None:
        """The network has caught up."""
        self._is_paused = False
        self._pump()

    def grant(self, increment: int) -> None:
        """The peer lets the connection send more.

        Raises:
            ProtocolError: More than there may be.
        """
        self._window += increment
        if self._window > MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        self._go_on()

    def grant_stream(self, stream: Stream, increment: int) -> None:
        """The peer lets a stream send more, or less.

        Raises:
            ProtocolError: More than there may be.
        """
        stream.send_window += increment
        if stream.send_window > MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        if stream.queue:
            self._waiting[stream] = None
            self._go_on()

    def change_initial_window(self, size: int, streams: list[Stream]) -> None:
        """The peer changes the window of all streams.

        Raises:
            ProtocolError: It cannot be that large, or changes too often.
        """
        self._patience.spend(len(streams) / _STREAMS_A_CHANGE)
        change, self._initial_window = size - self._initial_window, size
        for stream in streams:
            self.grant_stream(stream, change)

    def change_frame_size(self, size: int) -> None:
        """The peer changes how large a frame may be."""
        self._frame_bytes = min(size, _TURN_BYTES)

    def _headers(self, number: int, block: bytes, flags: int = 0) -> bytes:
        block, self._before_headers = self._before_headers + block, b""
        return frame(HEADERS, flags | END_HEADERS, number, block)

    def _data(self, number: int, data: bytes) -> list[bytes]:
        """Put data into frames."""
        parts: list[bytes] = []
        most = self._frame_bytes
        for at in range(0, len(data), most):
            piece = data[at : at + most]
            size = len(piece)
            parts += (HEADER.pack(size >> 8, size & 0xFF, DATA, 0, number), piece)
        return parts

    def _fits(self, stream: Stream, size: int) -> bool:
        """Whether a message can go out at once, within one turn."""
        room = min(self._window, stream.send_window, _TURN_BYTES)
        return size <= room and not stream.queue and not self._is_paused

    def _queue(self, stream: Stream, message: bytes, tail: bytes | None) -> None:
        stream.queue.append(memoryview(PREFIX.pack(0, len(message))))
        if message:
            stream.queue.append(memoryview(message))
        stream.queued += PREFIX_BYTES + len(message)
        stream.tail = tail
        stream.going_since = time.monotonic()
        self._waiting[stream] = None
        self._pump()

    def _go_on(self) -> None:
        """Send what a larger window lets us; peers that open it by a few bytes cost patience."""
        if self._waiting:
            self._dribbles = 0
            self._pump()
            if self._dribbles:
                self._patience.spend(self._dribbles)

    def _pump(self) -> None:
        """Send what may be sent, each stream in turn."""
        while self._ending and not self._is_paused:
            stream = next(iter(self._ending))
            del self._ending[stream]
            self._finish(stream)
        while self._waiting and self._window > 0 and not self._is_paused:
            stream = next(iter(self._waiting))
            del self._waiting[stream]
            if stream.send_window > 0:
                self._take_turn(stream)

    def _take_turn(self, stream: Stream) -> None:
        room = min(self._window, stream.send_window, stream.queued, _TURN_BYTES)
        self._window -= room
        stream.send_window -= room
        stream.queued -= room
        parts: list[bytes | memoryview] = []
        left = room
        while left:
            size = min(left, self._frame_bytes)
            parts.append(HEADER.pack(size >> 8, size & 0xFF, DATA, 0, stream.number))
            _move(stream, parts, size)
            left -= size
        self.flush()
        if not self._is_closed and not self._transport.is_closing():
            self._transport.writelines(parts)
        if not stream.queue:
            self._finish(stream)
            return
        self._waiting[stream] = None
        self._dribbles += room < _SMALL_FRAME_BYTES

    def _finish(self, stream: Stream) -> None:
        stream.going_since = None
        _resolve(stream)
        if stream.tail is not None:
            self.write(stream.tail)
            self._on_sent(stream)


def _move(stream: Stream, parts: list[bytes | memoryview], size: int) -> None:
    """Take so many bytes off a stream's queue."""
    queue = stream.queue
    while size:
        data = queue[0]
        if len(data) <= size:
            parts.append(data)
            size -= len(queue.popleft())
        else:
            parts.append(data[:size])
            queue[0] = data[size:]
            size = 0


def _resolve(stream: Stream) -> None:
    if stream.drained is not None and not stream.drained.done():
        stream.drained.set_result(None)
