"""The metrics' port and clients that take their time."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from evenface_server.instruments import Instruments
from evenface_server.supervisor.exposition import Exposition, Limits
from evenface_server.totals import Totals
from support.servers import scrape, until

FEW = Limits(connections=8, seconds=1000.0)
SHORT = Limits(connections=8, seconds=0.5)
GET = b"GET /metrics HTTP/1.1\r\nHost: evenface\r\n\r\n"


@asynccontextmanager
async def exposed(limits: Limits, label: str = "x", series: int = 1) -> AsyncIterator[str]:
    """Show a counter of 7 in so many series; yield the address."""
    instruments = Instruments()
    counter = instruments.counter("calls", "Calls.", "name")
    for number in range(series):
        counter.labels(f"{number}{label}").inc(7)
    totals = Totals(instruments)
    totals.add("own", instruments.take())
    exposition = Exposition("127.0.0.1", 0, (totals,), limits)
    try:
        yield exposition.address
    finally:
        await exposition.close()


@contextmanager
def connected(address: str, receive_bytes: int = 0) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.socket() as connection:
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(30)
        connection.connect((host, int(port)))
        yield connection


async def test_connections_that_are_held_keep_no_scrape_out_and_take_few_threads() -> None:
    before = threading.active_count()
    async with exposed(FEW) as address:
        with ExitStack() as stack:
            held = [stack.enter_context(connected(address)) for _ in range(100)]
            held[-1].sendall(GET[:20])
            assert scrape(address)['calls_total{name="0x"}'] == 7
            # Its own, and one each; those that gave way may still be on their way out.
            await until(lambda: threading.active_count() <= before + 1 + FEW.connections)
            assert held[0].recv(1) == b""


async def test_a_scrape_is_not_ended_for_connections_that_ask_for_nothing() -> None:
    # The reply does not fit into the system's buffers, so that it is not over before it is read.
    async with exposed(FEW, "x" * 1_000_000, 16) as address:
        with ExitStack() as stack:
            slow = stack.enter_context(connected(address, 4096))
            slow.sendall(GET)
            assert slow.recv(12) == b"HTTP/1.0 200"
            for _ in range(100):
                stack.enter_context(connected(address))
            assert sum(len(part) for part in iter(lambda: slow.recv(1 << 16), b"")) > 16_000_000


async def test_who_sends_a_request_byte_by_byte_is_ended_in_the_end() -> None:
    async with exposed(SHORT) as address:
        with connected(address) as dripping:
            dripping.sendall(b"GET /metrics?")
            await until(lambda: _is_ended(dripping, b"x"))
        assert scrape(address)['calls_total{name="0x"}'] == 7


async def test_who_does_not_read_its_reply_is_ended_in_the_end() -> None:
    before = threading.active_count()
    async with exposed(SHORT, "x" * 1_000_000, 16) as address:
        with connected(address, 4096) as deaf:
            deaf.sendall(GET)
            await until(lambda: threading.active_count() == before + 2)
            await until(lambda: threading.active_count() == before + 1)
            received = sum(len(part) for part in iter(lambda: deaf.recv(1 << 16), b""))
        assert received < 16_000_000


def _is_ended(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return True
    return False
