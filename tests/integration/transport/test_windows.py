"""Flow control: what a peer may send follows what handlers read, what we send what it allows."""

import asyncio

import pytest
from evenface_transport import Code, Limits, frames
from evenface_transport.frames import frame
from evenface_transport.messages import PREFIX_BYTES
from support.http2 import Peer, connected, prefixed
from support.transports import serving, until

WINDOW = 2**20


async def send_as_allowed(peer: Peer, stream: int, data: bytes) -> None:
    """Send data as the windows of the server allow, as an honest client does."""
    room, total, at, looked = WINDOW, frames.DEFAULT_WINDOW, 0, 0
    while at < len(data):
        for seen in peer.seen[looked:]:
            if seen.kind == frames.WINDOW_UPDATE and seen.stream in (0, stream):
                increment = frames.number(seen.payload)
                room += increment if seen.stream else 0
                total += 0 if seen.stream else increment
        looked = len(peer.seen)
        size = min(frames.MIN_FRAME_BYTES, room, total, len(data) - at)
        if size > 0:
            peer.send(frame(frames.DATA, 0, stream, data[at : at + size]))
            at, room, total = at + size, room - size, total - size
            await peer.flush()
        else:
            assert await peer.next() is not None


async def test_a_large_request_comes_in_by_the_windows_it_is_given() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/sums")
        await send_as_allowed(peer, 1, prefixed(bytes(40 * WINDOW)))
        peer.data(1, b"", ends=True)
        assert (await peer.reply(1)).messages == [b"%d" % (40 * WINDOW)]


@pytest.mark.parametrize("size", [100, 1000, 300_000, 3 * WINDOW])
async def test_a_handler_that_does_not_read_holds_its_caller_up(size: int) -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/reads")
        count = max(3, 4 * WINDOW // (size + 5))
        sending = asyncio.ensure_future(send_as_allowed(peer, 1, prefixed(bytes(size)) * count))
        held = -1
        while held != served.held:
            held = served.held
            await asyncio.sleep(0.2)
        assert not sending.done()
        overhead = (WINDOW // (size + 5) + 2) * 128 + 5000
        assert 0 < held <= WINDOW + size + overhead
        peer.send(frames.window_update(1, 2**30) + frames.window_update(0, 2**30))
        for _ in range(count + 1):
            served.handlers.may_read.release()
        await sending
        peer.data(1, b"", ends=True)
        assert (await peer.reply(1)).messages == [b"%d" % size] * count


async def test_empty_messages_hold_their_sender_up_too() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/reads")
        sending = asyncio.ensure_future(send_as_allowed(peer, 1, prefixed(b"") * 300_000))
        held = -1
        while held != served.held:
            held = served.held
            await asyncio.sleep(0.2)
        assert not sending.done()
        assert held > WINDOW
        sending.cancel()


async def test_many_streams_at_once_take_turns() -> None:
    async with serving() as served, connected(served.port) as peer:
        for stream in (1, 3, 5):
            peer.call(stream, "/t/size", b"200000")
        await until(lambda: len(served.handlers.begun) == 3)
        peer.send(*(frames.window_update(stream, 2**20) for stream in (1, 3, 5)))
        peer.send(frames.window_update(0, 2**20))
        for stream in (1, 3, 5):
            assert [len(message) for message in (await peer.reply(stream)).messages] == [200_000]
        order = [f.stream for f in peer.seen if f.kind == frames.DATA]
        assert max(order.index(5), order.index(3)) < len(order) // 2


@pytest.mark.parametrize("first", [0, 1, 7, 400])
async def test_a_reply_goes_out_by_the_windows_of_the_peer(first: int) -> None:
    settings = {frames.SETTINGS_INITIAL_WINDOW_SIZE: first}
    async with serving() as served, connected(served.port, settings) as peer:
        peer.call(1, "/t/size", b"400")
        await until(lambda: served.handlers.begun)
        got = 0
        for increment in (1, 3, 100, 0, 300, 1000):
            await peer.settled()
            got = sum(len(f.payload) for f in peer.seen if f.kind == frames.DATA)
            assert got == min(405, first)
            first += increment
            if increment:
                peer.send(frames.window_update(1, increment))
        assert (await peer.reply(1)).messages == [b"x" * 400]


async def test_settings_open_and_close_the_windows_of_calls_under_way() -> None:
    async with serving() as served, connected(served.port, {4: 100}) as peer:
        peer.call(1, "/t/size", b"1000")
        await until(lambda: served.handlers.begun)
        await peer.settled()

        def got() -> int:
            return sum(len(f.payload) for f in peer.seen if f.kind == frames.DATA)

        assert got() == 100
        peer.send(frames.settings({4: 40}))  # the window is -60 now
        peer.send(frames.window_update(1, 60))
        await peer.settled()
        assert got() == 100
        peer.send(frames.window_update(1, 1))
        await peer.settled()
        assert got() == 101
        peer.send(frames.settings({4: 2000}))
        assert (await peer.reply(1)).messages == [b"x" * 1000]
        kinds = [(f.kind, f.flags) for f in peer.seen if f.kind != frames.PING]
        assert kinds[-3:-1] == [(frames.SETTINGS, frames.ACK), (frames.DATA, 0)]


async def test_the_connection_s_window_holds_all_replies_back() -> None:
    async with serving() as served, connected(served.port, {4: 2**20}) as peer:
        for stream in (1, 3):
            peer.call(stream, "/t/size", b"50000")
        await until(lambda: len(served.handlers.begun) == 2)
        await peer.settled()
        assert sum(len(f.payload) for f in peer.seen if f.kind == frames.DATA) == 65_535
        peer.call(5, "/t/nobody")  # needs no window
        assert (await peer.reply(5)).status[0] == Code.UNIMPLEMENTED
        peer.send(frames.window_update(0, 2**20))
        for stream in (1, 3):
            assert [len(m) for m in (await peer.reply(stream)).messages] == [50_000]


async def test_a_stream_s_handler_waits_until_its_reply_is_taken() -> None:
    async with serving() as served, connected(served.port, {4: 20_000}) as peer:
        peer.open(1, "/t/sizes")
        peer.message(1, b"100 10000", ends=True)
        await peer.settled()
        await peer.settled()
        assert len(served.handlers.begun) == 2  # the first was taken, the second waits
        assert served.held > 0
        peer.send(frames.window_update(1, 10_000))
        await until(lambda: len(served.handlers.begun) == 3)
        peer.send(frames.window_update(1, 2**21) + frames.window_update(0, 2**21))
        assert len((await peer.reply(1)).messages) == 100


async def test_a_call_that_fails_amid_a_reply_that_waits_still_ends_in_order() -> None:
    async with serving() as served, connected(served.port, {4: 1000}) as peer:
        peer.open(1, "/t/crashes")
        peer.message(1, bytes(3000))
        await peer.settled()
        peer.data(1, b"\xff", ends=True)
        peer.open(3, "/t/sizes", ("grpc-timeout", "100m"))
        peer.message(3, b"2 3000")
        await until(lambda: len(served.handlers.begun) == 1)
        peer.send(frames.window_update(1, 10_000))
        assert (await peer.reply(1)).status[0] == Code.INTERNAL
        await asyncio.sleep(0.3)
        peer.send(frames.window_update(3, 10_000))
        reply = await peer.reply(3)
        assert reply.status[0] == Code.DEADLINE_EXCEEDED
        assert reply.messages == [b"x" * 3000]


@pytest.mark.parametrize("size", [40_000, 1_000_000])
async def test_frames_are_as_large_as_the_peer_allows(size: int) -> None:
    for allowed, largest in ((None, 16_384), (2**14 + 1, 16_385), (2**20, 65_536)):
        settings = {frames.SETTINGS_INITIAL_WINDOW_SIZE: 2**24}
        if allowed is not None:
            settings[frames.SETTINGS_MAX_FRAME_SIZE] = allowed
        async with serving() as served, connected(served.port, settings) as peer:
            peer.send(frames.window_update(0, 2**24))
            peer.call(1, "/t/size", b"%d" % size)
            reply = await peer.reply(1)
        assert [len(message) for message in reply.messages] == [size]
        assert max(len(f.payload) for f in peer.seen) == min(largest, size + PREFIX_BYTES)


async def test_large_frames_of_data_are_taken_as_they_come() -> None:
    async with serving() as served, connected(served.port) as peer:
        data = prefixed(bytes(range(256)) * 4000)
        settings = await peer.until(frames.SETTINGS)
        assert dict(frames.read_settings(settings.payload))[5] == 2**20
        for stream in (1, 3):
            peer.open(stream, "/t/sums")
            for piece in (data[:1_000_000], data[1_000_000:]):
                if stream == 3:
                    padded = frames.PADDED | frames.END_STREAM if piece is not data else 0
                    flags = frames.PADDED if len(piece) == 1_000_000 else padded
                    peer.send(frame(frames.DATA, flags, stream, b"\x64" + piece + bytes(100)))
                else:
                    peer.send(frame(frames.DATA, 0, stream, piece))
        peer.data(1, b"", ends=True)
        for stream in (1, 3):
            assert (await peer.reply(stream)).messages == [b"1024000"]


async def test_what_is_held_of_replies_keeps_new_requests_out() -> None:
    limits = Limits(max_held_bytes=2_000_000, max_message_bytes=100_000)
    async with serving(limits) as served, connected(served.port, {4: 0}) as peer:
        for stream in (1, 3, 5):
            peer.call(stream, "/t/size", b"500000")
        await until(lambda: served.held > 1_500_000)
        peer.call(7, "/t/echo", bytes(1000))
        assert (await peer.reply(7)).status[0] == Code.RESOURCE_EXHAUSTED
        peer.send(frames.settings({4: 2**20}), frames.window_update(0, 2**24))
        for stream in (1, 3, 5):
            await peer.reply(stream)
        assert served.held == 0
        peer.call(9, "/t/echo", bytes(1000))
        assert (await peer.reply(9)).status[0] == Code.OK
