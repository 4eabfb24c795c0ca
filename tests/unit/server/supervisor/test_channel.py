"""Messages between processes, and the sockets that go with them."""

import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from evenface_server.supervisor.channel import Channel
from evenface_server.supervisor.messages import (
    Answer,
    Ask,
    Connection,
    Drain,
    Failed,
    Message,
    Ready,
    Report,
    Start,
    Stop,
    ThinOut,
    decode,
    encode,
)
from support.servers import until


@dataclass
class Side:
    """One end, and what it has heard."""

    heard: list[tuple[Message, socket.socket | None]] = field(default_factory=list)
    ends: int = 0
    channel: Channel = field(init=False)

    def open(self, own: socket.socket) -> None:
        self.channel = Channel(own, lambda *heard: self.heard.append(heard), self._end)

    def _end(self) -> None:
        self.ends += 1


@pytest_asyncio.fixture
async def sides() -> AsyncIterator[tuple[Side, Side]]:
    """Both ends of a channel."""
    left, right = Side(), Side()
    ours, theirs = socket.socketpair()
    left.open(ours)
    right.open(theirs)
    yield left, right
    left.channel.close()
    right.channel.close()
    for side in (left, right):
        for _, attached in side.heard:
            if attached is not None:
                attached.close()


@pytest.mark.parametrize(
    "message",
    [
        Start({"port": 0}, 3, "/shared"),
        Connection(),
        Ask(1, "serve", {"name": "faces"}),
        ThinOut(3),
        Drain(1.5, 30.0),
        Stop(),
        Ready("cpu"),
        Failed("models: no such folder"),
        Report(2, 1, {"calls": []}, [["faces", "1", 7, [[3, 4]], [[1, 0]]]]),
        Answer(1, ["a"], None),
    ],
)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


async def test_messages_arrive_whole_and_in_order_whatever_their_size(
    sides: tuple[Side, Side],
) -> None:
    left, right = sides
    sizes = [0, 3_000_000, 1, 200_000, 65_536]
    for number, size in enumerate(sizes):
        left.channel.send(Ask(number, "x" * size, None))
    assert left.channel.is_behind
    await until(lambda: len(right.heard) == len(sizes))
    asked = [message for message, _ in right.heard if isinstance(message, Ask)]
    assert [(one.number, len(one.what)) for one in asked] == list(enumerate(sizes))
    assert not left.channel.is_behind


async def test_sockets_arrive_with_the_messages_that_announce_them(
    sides: tuple[Side, Side],
) -> None:
    left, right = sides
    pairs = [socket.socketpair() for _ in range(40)]
    for number, (mine, given) in enumerate(pairs):
        left.channel.send(Ask(number, "x" * 10_000, None))
        left.channel.send(Connection(), given)
        mine.sendall(b"%d" % number)
    await until(lambda: len(right.heard) == 2 * len(pairs))
    assert [attached is not None for _, attached in right.heard] == [False, True] * len(pairs)
    got = [attached.recv(8) for _, attached in right.heard if attached is not None]
    assert got == [b"%d" % number for number in range(len(pairs))]
    assert all(given.fileno() < 0 for _, given in pairs)
    for mine, _ in pairs:
        mine.close()


async def test_the_end_is_told_once_all_has_been_heard(sides: tuple[Side, Side]) -> None:
    left, right = sides
    left.channel.send(Stop())
    left.channel.close()
    await until(lambda: right.ends == 1)
    assert [message for message, _ in right.heard] == [Stop()]
    assert left.ends == 0


async def test_a_socket_for_a_side_that_is_gone_is_closed(sides: tuple[Side, Side]) -> None:
    left, right = sides
    right.channel.close()
    mine, given = socket.socketpair()
    with mine:
        left.channel.send(Connection(), given)
        mine.settimeout(5)
        assert mine.recv(1) == b""
    await until(lambda: left.ends == 1)


async def test_what_waits_can_be_flushed_before_the_event_loop_ends() -> None:
    side = Side()
    ours, theirs = socket.socketpair()
    side.open(ours)
    message = Ask(0, "x" * 1_000_000, None)
    side.channel.send(message)
    with theirs, theirs.makefile("rb") as file, ThreadPoolExecutor(1) as other:
        read = other.submit(file.read, 5 + len(encode(message)))
        side.channel.flush(10.0)
        assert decode(read.result()[5:]) == message
    side.channel.close()
