"""A client of HTTP/2 made by hand, for tests that have to break its rules."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

import hpack
from evenface_transport import frames

from support.patience import PATIENCE

_CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)


@dataclass(frozen=True)
class Frame:
    """One frame of the server.

    Attributes:
        kind: Of the frame, as `evenface_transport.frames` has them.
        flags: Its flags.
        stream: Its stream.
        payload: What is in it.
        fields: Of HEADERS, decoded.
    """

    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        """Whether the stream ends with it."""
        return self.kind == frames.RST_STREAM or (
            self.kind in (frames.DATA, frames.HEADERS) and bool(self.flags & frames.END_STREAM)
        )

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == frames.GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4], "big")


@dataclass
class Reply:
    """What came back on one stream.

    Attributes:
        fields: All header fields, those of the head and of the trailers.
        data: All data.
        reset: The error code of a reset; None without one.
    """

    fields: dict[str, str]
    data: bytes
    reset: int | None

    @property
    def messages(self) -> list[bytes]:
        """The messages in the data, which must be whole."""
        found, at = [], 0
        while at < len(self.data):
            size = int.from_bytes(self.data[at + 1 : at + 5], "big")
            assert self.data[at] == 0
            assert at + 5 + size <= len(self.data)
            found.append(self.data[at + 5 : at + 5 + size])
            at += 5 + size
        return found

    @property
    def status(self) -> tuple[int, str]:
        """The code and text of gRPC that it ends with."""
        return int(self.fields["grpc-status"]), unquote(self.fields.get("grpc-message", ""))


class Peer:
    """The client's end of one connection.

    Attributes:
        encoder: Makes header blocks.
        seen: All frames that came, as far as they were read.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = hpack.Decoder()
        self._read = 0  # frames of `seen` that `until` has looked at
        self._streams: defaultdict[int, list[Frame]] = defaultdict(list)
        self.encoder = hpack.Encoder()
        self.seen: list[Frame] = []

    def send(self, *parts: bytes) -> None:
        """Send bytes, if anyone still takes them."""
        if not self._writer.is_closing():
            self._writer.write(b"".join(parts))

    async def flush(self) -> None:
        """Wait until what was sent has gone out, as far as the server reads."""
        await self._writer.drain()

    def greet(self, settings: dict[int, int] | None = None) -> None:
        """Say the first words of HTTP/2."""
        self.send(frames.PREFACE, frames.settings(settings or {}))

    def block(
        self, path: str = "/t/echo", *more: tuple[str, str], without: Sequence[str] = ()
    ) -> bytes:
        """Return a header block that opens a call."""
        fields = [(":path", path), *_CALL]
        fields.sort(key=lambda item: not item[0].startswith(":"))
        return bytes(
            self.encoder.encode([item for item in fields if item[0] not in without] + list(more))
        )

    def open(
        self, stream: int, path: str = "/t/echo", *more: tuple[str, str], ends: bool = False
    ) -> None:
        """Open a call."""
        flags = frames.END_HEADERS | (frames.END_STREAM if ends else 0)
        self.send(frames.frame(frames.HEADERS, flags, stream, self.block(path, *more)))

    def data(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send data, in frames of 16 KiB."""
        size = frames.MIN_FRAME_BYTES
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for number, piece in enumerate(pieces):
            flags = frames.END_STREAM if ends and number == len(pieces) - 1 else 0
            self.send(frames.frame(frames.DATA, flags, stream, piece))

    def message(self, stream: int, message: bytes, *, ends: bool = False) -> None:
        """Send a message."""
        self.data(stream, prefixed(message), ends=ends)

    def call(self, stream: int, path: str, message: bytes = b"", *more: tuple[str, str]) -> None:
        """Open a call and send its one message."""
        self.open(stream, path, *more)
        self.message(stream, message, ends=True)

    async def next(self) -> Frame | None:
        """Return the next frame; None at the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self._reader.readexactly(frames.HEADER_BYTES)
                high, low, kind, flags, stream = frames.HEADER.unpack(head)
                payload = await self._reader.readexactly(high << 8 | low)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
        fields = {}
        if kind == frames.HEADERS:
            fields = {str(name): str(value) for name, value in self._decoder.decode(payload)}
        frame = Frame(kind, flags, stream, payload, fields)
        self.seen.append(frame)
        self._streams[frame.stream].append(frame)
        return frame

    async def until(self, kind: int, stream: int | None = None) -> Frame:
        """Return the next frame of a kind that no call of this has returned or passed."""
        while True:
            while self._read < len(self.seen):
                frame = self.seen[self._read]
                self._read += 1
                if frame.kind == kind and stream in (None, frame.stream):
                    return frame
            assert await self.next() is not None, f"the connection ended; {self.seen[-5:]}"

    async def reply(self, stream: int) -> Reply:
        """Return what came on a stream, once it has ended."""
        found = self._streams[stream]
        while not any(frame.is_last for frame in found[-2:]):
            assert await self.next() is not None, f"the connection ended; {self.seen[-5:]}"
        fields: dict[str, str] = {}
        for frame in found:
            fields |= frame.fields
        data = b"".join(frame.payload for frame in found if frame.kind == frames.DATA)
        resets = [frame.code for frame in found if frame.kind == frames.RST_STREAM]
        return Reply(fields, data, resets[0] if resets else None)

    async def goodbye(self) -> Frame:
        """Return the last GOAWAY, once the server has closed the connection."""
        while await self.next() is not None:
            pass
        return next(frame for frame in reversed(self.seen) if frame.kind == frames.GOAWAY)

    async def settled(self) -> None:
        """Wait until the server has dealt with all that was sent."""
        mark = (len(self.seen) + 1).to_bytes(8, "big")
        self.send(frames.frame(frames.PING, 0, 0, mark))
        while (frame := await self.next()) is None or frame.payload != mark:
            assert frame is not None, f"the connection ended; {self.seen[-5:]}"

    def stop_reading(self) -> None:
        """Take nothing off the network until `read_on`."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def read_on(self) -> None:
        """Go on after `stop_reading`."""
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    def hang_up(self) -> None:
        """End the connection as if the peer had crashed."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()


def prefixed(message: bytes, *, compressed: bool = False) -> bytes:
    """Return a message as gRPC frames it."""
    return bytes((compressed,)) + len(message).to_bytes(4, "big") + message


@asynccontextmanager
async def connected(
    port: int,
    settings: dict[int, int] | None = None,
    *,
    greets: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    """A connection to a server on this machine."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, limit=2**24, ssl=tls, server_hostname="localhost" if tls else None
    )
    peer = Peer(reader, writer)
    if greets:
        peer.greet(settings)
    try:
        yield peer
    finally:
        await peer.close()
