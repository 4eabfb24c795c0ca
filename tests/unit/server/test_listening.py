"""Where connections are accepted, and when."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from evenface_core.errors import ConfigError
from evenface_server.listening import Listener, check_free
from support.servers import until


class Door:
    """A listener, and the connections it has delivered."""

    def __init__(self, port: int = 0) -> None:
        self.delivered: list[socket.socket] = []
        self.listener = Listener("port", "127.0.0.1", port, self.delivered.append)
        self.port = int(self.listener.address.rpartition(":")[2])

    def knock(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def close(self) -> None:
        self.listener.close()
        for connected in self.delivered:
            connected.close()


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    found = Door()
    yield found
    found.close()


async def test_connections_are_refused_before_it_is_opened_and_after_it_is_closed(
    door: Door,
) -> None:
    with pytest.raises(ConnectionRefusedError):
        door.knock()
    door.listener.open()
    with door.knock():
        await until(lambda: len(door.delivered) == 1)
    door.listener.close()
    with pytest.raises(ConnectionRefusedError):
        door.knock()


async def test_connections_wait_while_it_is_paused(door: Door) -> None:
    door.listener.open()
    door.listener.pause()
    with door.knock() as visitor:
        visitor.sendall(b"here")
        for _ in range(20):
            await asyncio.sleep(0)
        assert door.delivered == []
        door.listener.resume()
        await until(lambda: len(door.delivered) == 1)
        assert door.delivered[0].recv(8) == b"here"


async def test_a_pause_in_the_midst_of_a_crowd_leaves_the_rest_waiting() -> None:
    taken: list[socket.socket] = []

    def take_one(connected: socket.socket) -> None:
        taken.append(connected)
        listener.pause()

    listener = Listener("port", "127.0.0.1", 0, take_one)
    listener.open()
    port = int(listener.address.rpartition(":")[2])
    visitors = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    for count in range(1, 6):
        while len(taken) < count:  # noqa: ASYNC110 - the listener's own turns are counted
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(taken) == count
        listener.resume()
    listener.close()
    for one in (*visitors, *taken):
        one.close()


async def test_small_messages_are_not_held_back(door: Door) -> None:
    door.listener.open()
    with door.knock():
        await until(lambda: len(door.delivered) == 1)
        (connected,) = door.delivered
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_of_two_that_take_an_address_the_second_to_open_is_refused(door: Door) -> None:
    second = Door(door.port)
    door.listener.open()
    with pytest.raises(ConfigError, match=f"--port: cannot listen on 127.0.0.1:{door.port}: Addr"):
        second.listener.open()
    second.close()


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--metrics-port: cannot listen on 192.0.2.1:1: "):
        check_free("metrics_port", "192.0.2.1", 1)
    with pytest.raises(
        ConfigError, match=r"--metrics-port: cannot listen on no.such.host.invalid:1: "
    ):
        check_free("metrics_port", "no.such.host.invalid", 1)
