"""One end of the line between a supervisor and a worker: messages, and sockets that go with them.

A Unix stream socket. Each message is preceded by its length and by whether a socket comes along;
sockets arrive in the order of the messages that announce them.
"""

import asyncio
import errno
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from evenface_server.supervisor.messages import Message, decode, encode

_LOG = logging.getLogger(__name__)
_HEADER: Final = struct.Struct("!I?")
_READ_BYTES: Final = 65_536
_READ_SOCKETS: Final = 16


class Channel:
    """Sends at once what the system takes, the rest as soon as it takes more.

    Args:
        own: This side's socket.
        on_message: Gets each message, and the socket that came with it; None where none did, be it
            that this process may not open more files.
        on_closed: Told once, when the other side is gone and all it has said has been heard.
    """

    def __init__(
        self,
        own: socket.socket,
        on_message: Callable[[Message, socket.socket | None], None],
        on_closed: Callable[[], None],
    ) -> None:
        own.settimeout(0)
        self._socket = own
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._sockets: deque[socket.socket | None] = deque()
        self._waiting: deque[tuple[memoryview, socket.socket | None]] = deque()
        self._loop.add_reader(own, self._read)

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting)

    def send(self, message: Message, attached: socket.socket | None = None) -> None:
        """Send a message; a socket that goes with it is closed on this side."""
        if self._socket.fileno() < 0:
            _close(attached)
            return
        data = encode(message)
        header = _HEADER.pack(len(data), attached is not None)
        self._waiting.append((memoryview(header + data), attached))
        if len(self._waiting) == 1:
            self._write()

    def flush(self, seconds: float) -> None:
        """Send what waits, blocking for so many seconds for each piece at most."""
        if self._socket.fileno() >= 0:
            self._socket.settimeout(seconds)
            self._write()

    def close(self) -> None:
        """Hang up; nobody is told on this side."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._drop_waiting()
        self._socket.close()
        self._received.clear()
        while self._sockets:
            _close(self._sockets.popleft())

    def _write(self) -> None:
        try:
            while self._waiting:
                self._send_some(*self._waiting[0])
        except (BlockingIOError, TimeoutError):
            self._loop.add_writer(self._socket, self._write)
        except OSError:  # the other side is gone, as reading will show
            self._drop_waiting()
        else:
            self._loop.remove_writer(self._socket)

    def _drop_waiting(self) -> None:
        self._loop.remove_writer(self._socket)
        while self._waiting:
            _close(self._waiting.popleft()[1])

    def _send_some(self, data: memoryview, attached: socket.socket | None) -> None:
        if attached is None:
            sent = self._socket.send(data)
        else:
            sent = socket.send_fds(self._socket, [data], [attached.fileno()])
            attached.close()
        if sent < len(data):
            self._waiting[0] = data[sent:], None
        else:
            self._waiting.popleft()

    def _read(self) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._socket, _READ_BYTES, _READ_SOCKETS, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return
        except OSError:
            data, descriptors, flags = b"", [], 0
        if not data:
            self.close()
            self._on_closed()
            return
        self._sockets.extend(socket.socket(fileno=descriptor) for descriptor in descriptors)
        if flags & socket.MSG_CTRUNC:
            _LOG.error("a connection was lost", extra={"reason": os.strerror(errno.EMFILE)})
            self._sockets.append(None)
        self._received += data
        self._dispatch()

    def _dispatch(self) -> None:
        while len(self._received) >= _HEADER.size:
            size, has_socket = _HEADER.unpack_from(self._received)
            end = _HEADER.size + size
            if len(self._received) < end:
                return
            message = decode(bytes(self._received[_HEADER.size : end]))
            del self._received[:end]
            attached = self._sockets.popleft() if has_socket else None
            self._on_message(message, attached)


def _close(attached: socket.socket | None) -> None:
    if attached is not None:
        attached.close()
