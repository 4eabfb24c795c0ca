"""Servers that stop, and connections that end, under load: no call that was sent is lost."""

import asyncio
import socket
from collections import Counter
from typing import Any

import grpc
import pytest
from evenface_transport import Limits, Method, Server
from evenface_transport.call import Call
from grpc import StatusCode
from support.transports import serving, until

OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


async def test_connections_that_end_by_age_lose_no_call() -> None:
    limits = Limits(max_age_seconds=0.1)
    async with serving(limits) as served:
        address = f"127.0.0.1:{served.port}"
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            unary: Any = channel.unary_unary("/t/echo")
            loop = asyncio.get_running_loop()
            ends = loop.time() + 3
            answered = 0

            async def call_on() -> None:
                nonlocal answered
                while loop.time() < ends:
                    assert await unary(b"x" * 100, timeout=30, wait_for_ready=True) == b"x" * 100
                    answered += 1

            await asyncio.gather(*(call_on() for _ in range(8)))
    assert answered > 100


class Relay:
    """Listens, and hands connections to the server of the day."""

    def __init__(self) -> None:
        self.answered: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)  # noqa: FBT003 - the standard library's own
        self.port = self._listener.getsockname()[1]
        self.server = self.renew()
        self._task = asyncio.create_task(self._accept())

    def renew(self) -> Server:
        """Let a new server answer from now on; return it."""
        self.answered.append(0)

        async def answer(message: bytes, call: Call) -> bytes:
            del call
            await asyncio.sleep(0.01)
            self.answered[-1] += 1
            return message

        self.server = Server({"/t/slow": Method(unary=answer)}, Limits())
        return self.server

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._listener.close()
        await self.server.stop(0)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connected, _ = await loop.sock_accept(self._listener)
            await self.server.adopt(connected)


@pytest.mark.parametrize("grace", [5.0, 0.0])
async def test_a_server_that_is_replaced_under_load_answers_or_lets_callers_try_again(
    grace: float,
) -> None:
    relay = Relay()
    found: Counter[StatusCode] = Counter()
    stops = asyncio.Event()

    async def call_on(channel: grpc.aio.Channel) -> None:
        unary: Any = channel.unary_unary("/t/slow")
        while not stops.is_set():
            try:
                await unary(b"x" * 1000, timeout=30, wait_for_ready=True)
                found[StatusCode.OK] += 1
            except grpc.aio.AioRpcError as error:
                found[error.code()] += 1

    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{relay.port}", options=OPTIONS) for _ in range(3)
    ]
    callers = [asyncio.ensure_future(call_on(channel)) for channel in channels * 6]
    for _ in range(4):
        await until(lambda: relay.answered[-1] > 100)
        old = relay.server
        relay.renew()
        await old.stop(grace)
        assert (old.connections, old.budget.held, old.tasks) == (0, 0, set())
    await until(lambda: relay.answered[-1] > 0)
    stops.set()
    await asyncio.gather(*callers)
    for channel in channels:
        await channel.close()
    await relay.close()
    allowed = {StatusCode.OK} if grace else {StatusCode.OK, StatusCode.UNAVAILABLE}
    assert set(found) <= allowed, found
