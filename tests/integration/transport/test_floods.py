"""Peers that send a lot to no purpose are sent away; what they can make us hold is bounded."""

import asyncio
import socket
import struct

import hpack
import pytest
from evenface_transport import Code, Limits, frames
from evenface_transport.frames import ErrorCode, frame
from support.http2 import connected, prefixed
from support.transports import serving, until

ENDS = frames.END_HEADERS | frames.END_STREAM
CANCEL = ErrorCode.CANCEL
REQUEST = ((":method", "POST"), (":scheme", "http"), ("content-type", "application/grpc"))


@pytest.fixture(autouse=True)
def _patience_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it does not matter how fast this machine is."""
    monkeypatch.setattr("evenface_transport.patience._PER_SECOND", 0.0)


FLOODS = {
    "pings": frame(frames.PING, 0, 0, b"12345678"),
    "answers to pings": frame(frames.PING, frames.ACK, 0, b"12345678"),
    "settings": frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 1}),
    "answers to settings": frame(frames.SETTINGS, frames.ACK, 0),
    "empty data": frame(frames.DATA, 0, 1),
    "padding": frame(frames.DATA, frames.PADDED, 1, b"\0"),
    "data nobody waits for": frame(frames.DATA, 0, 3, b"x"),
    "priorities": frame(frames.PRIORITY, 0, 1, b"12345"),
    "windows of ended streams": frames.window_update(3, 1),
    "resets of ended streams": frames.reset(3, CANCEL),
    "trailers of ended streams": frame(frames.HEADERS, ENDS, 3, b""),
    "unknown frames": frame(0xBE, 0, 0),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_frames_without_end_or_purpose_are_too_many_some_day(kind: str) -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/waits")
        peer.message(1, b"")
        peer.call(3, "/t/echo")
        await peer.reply(3)
        peer.send(FLOODS[kind] * 13_000)
        last = await peer.goodbye()
        assert (last.code, last.payload[8:]) == (
            ErrorCode.ENHANCE_YOUR_CALM,
            b"too many frames to no purpose",
        )


async def test_calls_opened_and_reset_in_a_loop_are_cancelled_and_too_many_some_day() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream in range(1, 12_001, 2):
            peer.call(stream, "/t/wait")
            peer.send(frames.reset(stream, CANCEL))
        last = await peer.goodbye()
        assert last.code == ErrorCode.ENHANCE_YOUR_CALM
        await until(lambda: not served.server.tasks)
        assert set(served.handlers.ended) <= {Code.CANCELLED}


async def test_calls_opened_beyond_the_limit_are_too_many_some_day() -> None:
    async with serving(Limits(max_streams=1)) as served, connected(served.port) as peer:
        for stream in range(1, 26_001, 2):
            peer.open(stream, "/t/wait")
        assert (await peer.goodbye()).code == ErrorCode.ENHANCE_YOUR_CALM


async def test_handlers_slow_to_end_count_as_calls_after_a_reset() -> None:
    async with serving(Limits(max_streams=10)) as served, connected(served.port) as peer:
        for stream in range(1, 41, 2):
            peer.call(stream, "/t/stubborn")
            count = min(10, (stream + 1) // 2)
            await until(lambda: len(served.handlers.begun) >= count)  # noqa: B023 - at once
            peer.send(frames.reset(stream, CANCEL))
        await peer.settled()
        refused = [f.stream for f in peer.seen if f.kind == frames.RST_STREAM]
        assert refused == list(range(21, 41, 2))
        served.handlers.may_end.set()
        await until(lambda: not served.server.tasks)
        peer.call(101, "/t/echo", b"x")
        assert (await peer.reply(101)).messages == [b"x"]


async def test_calls_beyond_the_limit_are_refused_so_that_the_caller_may_try_again() -> None:
    async with serving(Limits(max_streams=3)) as served, connected(served.port) as peer:
        settings = await peer.until(frames.SETTINGS)
        assert dict(frames.read_settings(settings.payload))[3] == 3
        for stream in (1, 3, 5, 7):
            peer.call(stream, "/t/wait")
        assert (await peer.reply(7)).reset == ErrorCode.REFUSED_STREAM
        served.handlers.may_end.set()
        for stream in (1, 3, 5):
            assert (await peer.reply(stream)).status[0] == Code.OK


async def test_large_header_blocks_are_too_many_some_day() -> None:
    block = hpack.Encoder().encode([("x-long", "~" * 40_000)])
    async with serving() as served, connected(served.port) as peer:
        for stream in range(1, 1000, 2):
            pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
            peer.send(frame(frames.HEADERS, 0, stream, pieces[0]))
            peer.send(*(frame(frames.CONTINUATION, 0, stream, piece) for piece in pieces[1:]))
            peer.send(frame(frames.CONTINUATION, frames.END_HEADERS, stream))
        assert (await peer.goodbye()).code == ErrorCode.ENHANCE_YOUR_CALM


async def test_a_busy_peer_with_the_frames_that_calls_bring_is_no_flood() -> None:
    async with serving() as served, connected(served.port) as peer:
        stream = -1
        for _ in range(30):
            batch = range(stream + 2, stream + 2002, 2)
            for stream in batch:
                peer.call(stream, "/t/echo" if stream % 8 else "/t/nobody", b"x")
                peer.send(frames.window_update(stream, 5) + frames.window_update(0, 8))
                peer.send(frame(frames.PING, 0, 0, b"12345678"))
            await peer.reply(batch[-1])
            peer.send(*(frames.window_update(number, 5) for number in batch))
            peer.send(*(frames.reset(number, CANCEL) for number in batch))
            await peer.settled()
    assert not any(f.kind == frames.GOAWAY for f in peer.seen)


async def test_refused_uploads_are_no_flood() -> None:
    async with serving(Limits(max_message_bytes=100)) as served, connected(served.port) as peer:
        for stream in range(1, 401, 2):
            peer.open(stream, "/t/echo")
            peer.data(stream, prefixed(bytes(900_000)))
            await peer.flush()
            peer.send(frames.reset(stream, CANCEL))
        peer.call(401, "/t/echo", b"x")
        assert (await peer.reply(401)).messages == [b"x"]


async def test_a_peer_that_makes_us_send_and_does_not_read_is_cut_off() -> None:
    block = hpack.Encoder().encode([(":path", "/t/nobody"), *REQUEST], huffman=False)
    loop = asyncio.get_running_loop()

    async def call_forever(peer: socket.socket) -> None:
        for stream in range(1, 2**31, 2000):
            calls = (frame(frames.HEADERS, ENDS, stream + at, block) for at in range(0, 2000, 2))
            await loop.sock_sendall(peer, b"".join(calls))

    async with serving() as served:
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)  # noqa: FBT003 - the standard library's own
            await loop.sock_connect(peer, ("127.0.0.1", served.port))
            await loop.sock_sendall(peer, frames.PREFACE + frames.settings({}))
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await asyncio.wait_for(call_forever(peer), 60)
        assert served.held == 0


async def test_a_peer_whose_window_opens_by_bytes_is_cut_off() -> None:
    async with serving() as served, connected(served.port, {4: 0}) as peer:
        peer.call(1, "/t/size", b"1000000")
        await until(lambda: served.handlers.begun)
        for _ in range(13):
            peer.send(frames.window_update(1, 1) * 1000)
            await peer.flush()
        assert (await peer.goodbye()).code == ErrorCode.ENHANCE_YOUR_CALM


async def test_settings_that_change_the_windows_of_many_calls_are_dearer() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream in range(1, 2001, 2):
            peer.call(stream, "/t/wait")
        await until(lambda: len(served.handlers.begun) == 1000)
        one, two = (frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: n}) for n in (1, 2))
        peer.send((one + two) * 100)
        assert (await peer.goodbye()).code == ErrorCode.ENHANCE_YOUR_CALM


async def test_one_frame_of_many_settings_is_one_change() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/wait", b"x")
        await until(lambda: served.handlers.begun)
        many = b"".join(struct.pack(">HL", 4, size) for size in (2**31 - 1, 0, 7, 65_535))
        peer.send(frame(frames.SETTINGS, 0, 0, many))
        served.handlers.may_end.set()
        assert (await peer.reply(1)).messages == [b"x"]


async def test_connections_beyond_the_limit_are_turned_away() -> None:
    async with serving(Limits(max_connections=2)) as served:
        async with connected(served.port) as one, connected(served.port) as two:
            await one.settled()
            await two.settled()
            async with connected(served.port) as three:
                assert await three.next() is None
        await until(lambda: not served.server.connections)
        async with connected(served.port) as four:
            await four.settled()


async def test_what_calls_and_messages_take_besides_their_bytes_is_counted() -> None:
    limits = Limits(max_held_bytes=1_000_000, max_message_bytes=1000, max_header_bytes=1000)
    async with serving(limits) as served, connected(served.port) as peer:
        peer.open(1, "/t/reads")
        peer.data(1, prefixed(b"") * 20_000)
        assert (await peer.reply(1)).status[0] == Code.RESOURCE_EXHAUSTED
        for stream in range(3, 603, 2):
            peer.open(stream, "/t/wait")
            peer.message(stream, b"", ends=True)
        await peer.settled()
        refused = [f for f in peer.seen if f.fields.get("grpc-status") == "8"]
        assert 1 < len(refused) < 300
        assert served.held <= 500_000
