"""Deadlines, silence, idleness, age, and peers that are slow on purpose."""

import asyncio
import time

import pytest
from evenface_transport import Code, Limits, frames
from evenface_transport.frames import ErrorCode, frame
from support.http2 import connected, prefixed
from support.transports import serving, until

QUIET = {"ping_seconds": 1000.0}


@pytest.mark.parametrize("path", ["/t/wait", "/t/waits"])
async def test_a_deadline_that_passes_cancels_the_handler_and_says_so(path: str) -> None:
    async with serving() as served, connected(served.port) as peer:
        began = time.monotonic()
        peer.call(1, path, b"x", ("grpc-timeout", "150m"))
        reply = await peer.reply(1)
        assert time.monotonic() - began >= 0.15
        assert reply.status == (Code.DEADLINE_EXCEEDED, "the deadline has passed")
        assert served.handlers.ended == [Code.DEADLINE_EXCEEDED]
        assert served.handlers.begun[0].has_deadline
        peer.call(3, "/t/echo", b"x")
        assert (await peer.reply(3)).messages == [b"x"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2H", 7200),
        ("3M", 180),
        ("99999999S", 99_999_999),
        ("1500m", 1.5),
        ("5000000u", 5),
        ("99999999n", 0.099999999),
    ],
)
async def test_a_deadline_is_read_in_all_its_units(text: str, seconds: float) -> None:
    async with serving() as served, connected(served.port) as peer:
        before = time.monotonic()
        peer.call(1, "/t/look", b"x", ("grpc-timeout", text))
        await peer.reply(1)
        after = time.monotonic()
        assert before + seconds <= served.handlers.seen[0].deadline <= after + seconds


async def test_a_deadline_passes_while_the_request_is_still_coming_in() -> None:
    async with serving() as served, connected(served.port) as peer:
        peer.open(1, "/t/echo", ("grpc-timeout", "10m"))
        peer.data(1, prefixed(bytes(1000))[:500])
        assert (await peer.reply(1)).status[0] == Code.DEADLINE_EXCEEDED
        assert served.held == 0


async def test_a_message_that_does_not_come_in_whole_is_given_up() -> None:
    async with serving(Limits(message_seconds=0.3)) as served, connected(served.port) as peer:
        peer.open(1, "/t/echo")
        peer.data(1, prefixed(bytes(1000))[:500])
        peer.open(3, "/t/echoes")
        peer.data(3, prefixed(b"whole") + b"\0\0")
        peer.open(5, "/t/echoes")
        peer.data(5, prefixed(b"whole"))
        assert (await peer.reply(1)).reset == ErrorCode.CANCEL
        assert (await peer.reply(3)).reset == ErrorCode.CANCEL
        assert not any(f.stream == 5 and f.is_last for f in peer.seen)
        peer.data(5, b"", ends=True)
        assert (await peer.reply(5)).messages == [b"whole"]


async def test_a_peer_that_a_slow_handler_holds_up_is_not_blamed_for_it() -> None:
    async with serving(Limits(message_seconds=0.2)) as served, connected(served.port) as peer:
        peer.open(1, "/t/reads")
        peer.data(1, prefixed(bytes(900_000)) + prefixed(bytes(900_000))[:140_000])
        await asyncio.sleep(1.2)
        for _ in range(3):
            served.handlers.may_read.release()
        await peer.until(frames.WINDOW_UPDATE, 1)
        peer.data(1, prefixed(bytes(900_000))[140_000:])
        peer.data(1, b"", ends=True)
        assert (await peer.reply(1)).messages == [b"900000"] * 2


@pytest.mark.parametrize("path", ["/t/size", "/t/sizes"])
async def test_a_reply_that_is_not_taken_is_given_up(path: str) -> None:
    limits = Limits(message_seconds=0.3)
    async with serving(limits) as served, connected(served.port, {4: 10}) as peer:
        peer.call(1, path, b"1 1000" if path == "/t/sizes" else b"1000")
        await until(lambda: served.held > 900)
        reply = await peer.reply(1)
        assert reply.reset == ErrorCode.CANCEL
        assert "grpc-status" not in reply.fields
        await until(lambda: served.held == 0)


async def test_a_peer_that_says_nothing_is_asked_and_then_given_up() -> None:
    limits = Limits(ping_seconds=0.2, answer_seconds=0.5)
    async with serving(limits) as served, connected(served.port) as peer:
        peer.call(1, "/t/wait")
        ping = await peer.until(frames.PING)
        peer.send(frame(frames.PING, frames.ACK, 0, ping.payload))
        assert (await peer.until(frames.PING)).payload == ping.payload
        while await peer.next() is not None:
            pass
        await until(lambda: served.handlers.ended == [Code.CANCELLED])


async def test_who_connects_and_never_speaks_http_2_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenface_transport.lifetime._GREETING_SECONDS", 0.2)
    async with serving() as served, connected(served.port, greets=False) as peer:
        peer.send(frames.PREFACE[:5])
        assert (await peer.until(frames.SETTINGS)).kind == frames.SETTINGS
        while await peer.next() is not None:
            pass
        await until(lambda: not served.server.connections)


async def test_a_connection_without_calls_is_asked_to_end_and_one_with_calls_is_not() -> None:
    async with serving(Limits(idle_seconds=0.3)) as served, connected(served.port) as peer:
        peer.call(1, "/t/wait")
        await until(lambda: served.handlers.begun)
        await asyncio.sleep(1)
        await peer.settled()
        assert not any(f.kind == frames.GOAWAY for f in peer.seen)
        served.handlers.may_end.set()
        await peer.reply(1)
        assert (await peer.goodbye()).code == ErrorCode.NO_ERROR


async def test_an_old_connection_ends_once_its_calls_are_answered() -> None:
    async with serving(Limits(max_age_seconds=0.3)) as served, connected(served.port) as peer:
        peer.call(1, "/t/wait", b"x")
        first = await peer.until(frames.GOAWAY)
        assert int.from_bytes(first.payload[:4], "big") == 2**31 - 1
        peer.call(3, "/t/echo", b"crossed the GOAWAY")
        assert (await peer.reply(3)).messages == [b"crossed the GOAWAY"]
        last = await peer.until(frames.GOAWAY)
        assert int.from_bytes(last.payload[:4], "big") == 3
        peer.call(5, "/t/echo", b"too late")
        served.handlers.may_end.set()
        assert (await peer.reply(1)).messages == [b"x"]
        assert await peer.goodbye() == last
        assert not any(f.stream == 5 for f in peer.seen)


async def test_calls_of_an_old_connection_end_with_its_grace() -> None:
    limits = Limits(max_age_seconds=0.2, age_grace_seconds=0.3)
    async with serving(limits) as served, connected(served.port) as peer:
        peer.call(1, "/t/wait")
        assert (await peer.reply(1)).status == (Code.UNAVAILABLE, "the connection is too old")
        assert served.handlers.ended == [Code.UNAVAILABLE]
        await peer.goodbye()
