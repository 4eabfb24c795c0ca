"""How a server stops: what was sent is answered, or refused so that the caller may try again."""

import asyncio
import socket
import time

from evenface_transport import Code, frames
from evenface_transport.frames import ErrorCode, frame
from support.http2 import Peer, connected
from support.transports import serving, until


async def acknowledge(peer: Peer) -> None:
    """Say that the first GOAWAY has come."""
    ping = await peer.until(frames.PING)
    peer.send(frame(frames.PING, frames.ACK, 0, ping.payload))


async def test_a_server_that_stops_answers_what_was_sent_and_then_hangs_up() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/wait", b"x")
        await until(lambda: served.handlers.begun)
        stopping = asyncio.ensure_future(served.server.stop(20))
        assert int.from_bytes((await peer.until(frames.GOAWAY)).payload[:4], "big") == 2**31 - 1
        peer.call(3, "/t/echo", b"sent before the GOAWAY came")
        await acknowledge(peer)
        assert (await peer.reply(3)).messages == [b"sent before the GOAWAY came"]
        last = await peer.until(frames.GOAWAY)
        assert (int.from_bytes(last.payload[:4], "big"), last.code) == (3, ErrorCode.NO_ERROR)
        peer.call(5, "/t/echo", b"after that")
        served.handlers.may_end.set()
        assert (await peer.reply(1)).messages == [b"x"]
        assert await peer.goodbye() == last
        assert not any(f.stream == 5 for f in peer.seen)
        await peer.close()
        await stopping


async def test_idle_connections_end_at_once_when_a_server_stops() -> None:
    async with serving() as served, connected(served.port) as peer:
        await peer.settled()
        stopping = asyncio.ensure_future(served.server.stop(1000))
        await acknowledge(peer)
        await peer.goodbye()
        await peer.close()
        await asyncio.wait_for(stopping, 10)


async def test_calls_that_outlast_the_grace_are_unavailable_and_never_cancelled() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/wait")
        peer.open(3, "/t/waits")
        peer.message(3, b"x")
        peer.open(5, "/t/echo")
        peer.data(5, b"\0\0")
        await until(lambda: len(served.handlers.begun) == 2)
        await served.server.stop(0.1)
        for stream in (1, 3, 5):
            text = "the server is shutting down"
            assert (await peer.reply(stream)).status == (Code.UNAVAILABLE, text)
        assert served.handlers.ended == [Code.UNAVAILABLE] * 2
        assert (await peer.goodbye()).code == ErrorCode.NO_ERROR


async def test_a_second_stop_does_not_wait_for_the_first() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/wait")
        await until(lambda: served.handlers.begun)
        first = asyncio.ensure_future(served.server.stop(1000))
        await peer.until(frames.GOAWAY)
        await served.server.stop(0)
        await first
        assert (await peer.reply(1)).status[0] == Code.UNAVAILABLE


async def test_a_server_that_has_stopped_takes_no_connection() -> None:
    async with serving() as served:
        await served.server.stop(0)
        async with connected(served.port) as peer:
            assert await peer.next() is None


async def test_a_peer_that_never_lets_go_is_let_go_of() -> None:
    async with serving() as served:
        with socket.create_connection(("127.0.0.1", served.port)) as deaf:
            deaf.sendall(frames.PREFACE + frames.settings({}))
            await until(lambda: served.server.connections)
            began = time.monotonic()
            await served.server.stop(0.2)
            assert time.monotonic() - began < 10
            assert served.server.connections == 0


async def test_a_call_with_a_stubborn_handler_does_not_hold_a_stop_up() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/stubborn")
        await until(lambda: served.handlers.begun)
        await asyncio.wait_for(served.server.stop(0), 10)
        assert served.handlers.ended == [Code.UNAVAILABLE]


async def test_the_last_words_reach_a_peer_that_is_still_talking() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.call(1, "/t/size", b"60000")
        await until(lambda: served.handlers.begun)
        stopping = asyncio.ensure_future(served.server.stop(10))
        await acknowledge(peer)
        for _ in range(200):
            peer.send(frame(frames.PRIORITY, 0, 1, b"12345") * 10)
            await asyncio.sleep(0)
        assert [len(message) for message in (await peer.reply(1)).messages] == [60_000]
        assert (await peer.goodbye()).code == ErrorCode.NO_ERROR
        await peer.close()
        await stopping
