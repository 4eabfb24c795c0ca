"""Peers that say anything, and a server of the transport to say it to."""

import asyncio
import base64
import gc
import random
import socket
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

import hpack
from evenface_transport import Alike, Call, Code, Limits, Method, Server, StatusError, frames
from evenface_transport.frames import frame

# Small, so that inputs of a few kilobytes reach all of them.
LIMITS: Final = Limits(
    max_held_bytes=60_000,
    max_message_bytes=20_000,
    max_streams=8,
    max_header_bytes=1000,
)
_PATIENCE = 20.0  # beyond it, a server is taken to hang: what is sought here
_PATHS = ("/t/echo", "/t/echoes", "/t/sizes", "/t/fail", "/t/crash", "/t/wait", "/t/waits", "/no")
_FULL = "/t/full"


async def _echo(message: bytes, call: Call) -> bytes:
    call.trailers.append(("x-size", str(len(message))))
    return message


async def _echoes(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
    del call
    async for message in requests:
        yield message


async def _sizes(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
    del call
    async for message in requests:
        for size in message[:20]:
            yield bytes(size * size)


async def _fail(message: bytes, call: Call) -> bytes:
    del call
    raise StatusError(Code(message[0] % 16 + 1 if message else 2), message.decode("latin-1"))


async def _crash(message: bytes, call: Call) -> bytes:
    call.trailers.append(("x-bad", "\n"))
    raise ValueError(message)


async def _wait(message: bytes, call: Call) -> bytes:
    del message, call
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def _waits(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
    """Cancelled, it goes on for a while."""
    try:
        async for message in requests:
            yield message
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        yield b"not yet"
    call.trailers.append(("x-end", "late"))


def _full(call: Call, beginning: bytes) -> StatusError | None:
    """Refuse all, those of a turn of the loop that begin with the same byte alike."""
    del call, beginning
    error = StatusError(Code.RESOURCE_EXHAUSTED, "full")
    error.alike = alike = Alike(1)

    def end() -> None:
        alike.is_over = True

    asyncio.get_running_loop().call_soon(end)
    return error


def fuzzed_server() -> Server:
    """A server whose handlers end as soon as they can."""
    methods = {
        "/t/echo": Method(unary=_echo),
        "/t/echoes": Method(stream=_echoes),
        "/t/sizes": Method(stream=_sizes),
        "/t/fail": Method(unary=_fail),
        "/t/crash": Method(unary=_crash),
        "/t/wait": Method(unary=_wait),
        "/t/waits": Method(stream=_waits),
        _FULL: Method(unary=_echo, refuse_request=_full),
    }
    return Server(methods, LIMITS)


class Writer:
    """Makes up what a peer sends.

    Args:
        chance: Decides.

    Attributes:
        is_honest: Whether all was sent as it was made up.
    """

    def __init__(self, chance: random.Random) -> None:
        self.is_honest = True
        self._chance = chance
        self._encoder = hpack.Encoder()
        self._next = 1
        self._open: list[int] = []
        self._makers: list[tuple[Callable[[], bytes], int]] = [
            (self._begin, 8), (self._message, 10), (self._data, 4), (self._end, 4),
            (self._reset, 2), (self._window, 6), (self._settings, 3), (self._ping, 1),
            (self._priority, 1), (self._goaway, 1), (self._unknown, 1), (self._trailers, 2),
            (self._flood, 1), (self._crowd, 2),
        ]  # fmt: skip

    def pieces(self) -> list[bytes]:
        """Return what is sent, in the pieces that it is sent in."""
        chance = self._chance
        makers, weights = zip(*self._makers, strict=True)
        parts = [frames.PREFACE, frames.settings(self._values())]
        parts += [self._begin() for _ in range(chance.choice((1, 1, 1, 3)))]
        parts += [maker() for maker in chance.choices(makers, weights, k=chance.randrange(25))]
        if chance.random() < 0.4:
            self.is_honest = False
            safe = chance.choice((2, 2, 2, 2, 2, 2, 1, 0))
            parts[safe:] = self._spoiled(parts[safe:])
        data = b"".join(parts)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 1, 3, 9))))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _spoiled(self, parts: list[bytes]) -> list[bytes]:
        chance = self._chance
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(parts))
            part = bytearray(parts[at])
            kind = chance.choice((0, 0, 1, 1, 2, 3, 4, 4, 5, 6))
            if kind == 0 and part:
                part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
            elif kind == 1 and part:
                part[chance.randrange(min(9, len(part)))] = chance.randrange(256)
            elif kind == 2:
                del part[chance.randrange(len(part) + 1) :]
            elif kind == 3:
                part[chance.randrange(len(part) + 1) : 0] = chance.randbytes(chance.randrange(20))
            elif kind == 4:
                parts.insert(chance.randrange(len(parts)), bytes(part))
            elif kind == 5:
                del parts[at]
                parts.append(b"")
                continue
            else:
                chance.shuffle(parts)
                continue
            parts[at] = bytes(part)
        return parts

    def _stream(self, *, ends: bool = False) -> int:
        """Choose a stream, mostly one that is open; with `ends`, it is not any more."""
        if self._chance.random() < 0.03:
            return self._chance.choice((0, 2, self._next, max(1, self._next - 2)))
        if not self._open:
            return max(1, self._next - 2)
        number = self._chance.choice(self._open)
        if ends and self._chance.random() < 0.97:
            self._open.remove(number)
        return number

    def _begin(self) -> bytes:
        chance, number = self._chance, self._next
        self._next += 2 * chance.choice((1, 1, 1, 5))
        fields = [
            (":method", chance.choice(("POST",) * 9 + ("GET",))),
            (":scheme", "http"),
            (":path", chance.choice(_PATHS)),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", chance.choice(("application/grpc",) * 9 + ("text/html",))),
        ]
        more = [
            ("grpc-timeout", chance.choice(("1n", "10m", "9S", "99999999H", "x"))),
            ("grpc-encoding", chance.choice(("gzip", "deflate", "identity", "br"))),
            ("x-request-id", chance.randbytes(8).hex()),
            ("x-raw-bin", base64.b64encode(chance.randbytes(5)).decode()),
            ("x-long", "y" * chance.choice((10, 900, 3000))),
            ("user-agent", "fuzz"),
        ]
        fields += chance.sample(more, chance.randrange(4))
        if chance.random() < 0.1:
            self._encoder.header_table_size = chance.choice((0, 100, 4096))
        block = bytes(self._encoder.encode(fields, huffman=chance.random() < 0.5))
        flags = chance.choice((0, 0, 0, 0, 0, frames.END_STREAM))
        if not flags:
            self._open.append(number)
        return self._headers(number, flags, block)

    def _headers(self, number: int, flags: int, block: bytes) -> bytes:
        chance = self._chance
        if chance.random() < 0.2:
            padding = chance.randrange(9)
            block_at = bytes((padding,)) + block + bytes(padding)
            return frame(
                frames.HEADERS, flags | frames.END_HEADERS | frames.PADDED, number, block_at
            )
        if chance.random() < 0.2:
            at = chance.randrange(len(block) + 1)
            return frame(frames.HEADERS, flags, number, block[:at]) + frame(
                frames.CONTINUATION, frames.END_HEADERS, number, block[at:]
            )
        return frame(frames.HEADERS, flags | frames.END_HEADERS, number, block)

    def _message(self) -> bytes:
        chance = self._chance
        text = chance.randbytes(chance.choice((0, 1, 5, 300))) * chance.choice((1, 1, 50))
        flag = chance.choice((0, 0, 0, 0, 1, 2))
        if flag == 1 and chance.random() < 0.8:
            text = zlib.compress(text + bytes(chance.choice((0, 100_000))))
        size = len(text) if chance.random() < 0.9 else chance.choice((0, 2**32 - 1, 20_001))
        data = struct.pack(">BL", flag, size) + text
        ends = chance.random() < 0.4
        return self._frames(self._stream(ends=ends), data, ends=ends)

    def _frames(self, number: int, data: bytes, *, ends: bool) -> bytes:
        chance, parts = self._chance, []
        size = (
            chance.choice((1000, 16_384, 40_000)) if len(data) > 50 else chance.choice((1, 3, 99))
        )
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for at, piece in enumerate(pieces):
            flags = frames.END_STREAM if ends and at == len(pieces) - 1 else 0
            payload = piece
            if chance.random() < 0.1:
                padding = chance.randrange(9)
                flags, payload = flags | frames.PADDED, bytes((padding,)) + piece + bytes(padding)
            parts.append(frame(frames.DATA, flags, number, payload))
        return b"".join(parts)

    def _data(self) -> bytes:
        chance = self._chance
        return self._frames(self._stream(), chance.randbytes(chance.randrange(20)), ends=False)

    def _end(self) -> bytes:
        return frame(frames.DATA, frames.END_STREAM, self._stream(ends=True))

    def _trailers(self) -> bytes:
        block = bytes(self._encoder.encode([("x-trailer", "1")]))
        return self._headers(self._stream(ends=True), frames.END_STREAM, block)

    def _reset(self) -> bytes:
        return frames.reset(self._stream(ends=True), frames.ErrorCode(self._chance.randrange(12)))

    def _window(self) -> bytes:
        increment = self._chance.choice((1, 7, 1000, 100_000, 2**20))
        return frames.window_update(self._chance.choice((0, self._stream())), increment)

    def _values(self) -> dict[int, int]:
        chance = self._chance
        known = {
            1: (0, 100, 4096), 2: (0, 1), 3: (0, 100), 4: (0, 1, 100, 65_535, 2**20),
            5: (16_384, 65_536, 2**24 - 1), 6: (100, 8192), 0xFF: (7,),
        }  # fmt: skip
        chosen = chance.sample(sorted(known), chance.randrange(4))
        return {key: chance.choice(known[key]) for key in chosen}

    def _settings(self) -> bytes:
        if self._chance.random() < 0.3:
            return frame(frames.SETTINGS, frames.ACK, 0)
        return frames.settings(self._values())

    def _ping(self) -> bytes:
        payload = self._chance.choice((b"evenface", b"12345678"))
        return frame(frames.PING, self._chance.choice((0, frames.ACK)), 0, payload)

    def _priority(self) -> bytes:
        return frame(frames.PRIORITY, 0, self._stream() or 1, self._chance.randbytes(5))

    def _goaway(self) -> bytes:
        return frames.goaway(0, frames.ErrorCode.NO_ERROR, "bye")

    def _unknown(self) -> bytes:
        chance = self._chance
        return frame(
            chance.randrange(256), chance.randrange(256), self._stream(), chance.randbytes(9)
        )

    def _crowd(self) -> bytes:
        """Begin calls that differ in nothing but what they go on with."""
        chance, parts = self._chance, []
        fields = [(":method", "POST"), (":scheme", "http"), (":path", _FULL), (":authority", "x")]
        for _ in range(chance.choice((2, 4, 9))):
            number, self._next = self._next, self._next + 2
            text = chance.choice((b"a", b"a", b"a", b"b", b"")) + bytes(chance.choice((0, 9, 500)))
            parts.append(self._headers(number, 0, bytes(self._encoder.encode(
                [*fields, ("content-type", "application/grpc")]))))  # fmt: skip
            data, ends = struct.pack(">BL", 0, len(text)) + text, chance.random() < 0.8
            if chance.random() < 0.8:
                parts.append(frame(frames.DATA, frames.END_STREAM * ends, number, data))
            else:
                parts.append(self._frames(number, data, ends=ends))
            if not ends:
                self._open.append(number)
        return b"".join(parts)

    def _flood(self) -> bytes:
        one = self._chance.choice((self._ping, self._settings, self._window, self._data))()
        return one * self._chance.choice((5, 300))


async def play(server: Server, pieces: list[bytes]) -> bytes:
    """Send pieces to a server as one peer, and return all that it says until it hangs up."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the standard library's own
    said: list[bytes] = []

    async def listen() -> None:
        try:
            while data := await loop.sock_recv(ours, 2**18):
                said.append(data)
        except ConnectionError:
            pass

    async with asyncio.timeout(_PATIENCE):
        await server.adopt(theirs)
        listening = asyncio.ensure_future(listen())
        try:
            for piece in pieces:
                await loop.sock_sendall(ours, piece)
                await asyncio.sleep(0)
            for _ in range(4):
                await asyncio.sleep(0)
            ours.shutdown(socket.SHUT_WR)
        except OSError:  # the server has hung up
            pass
        await listening
        ours.close()
        while server.connections or server.tasks:  # noqa: ASYNC110 - both, and soon
            await asyncio.sleep(0)
    return b"".join(said)


class Watch:
    """Sees to it that an event loop has nothing to complain of, and a server nothing left."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.faults: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.faults.append(context))

    def check(self) -> None:
        """Insist on it."""
        server = self.server
        assert (server.budget.held, server.tasks, server.connections) == (0, set(), 0)
        assert self.faults == []

    async def close(self) -> None:
        """Stop the server, and look a last time."""
        await self.server.stop(0)
        gc.collect()
        await asyncio.sleep(0)
        self.check()
