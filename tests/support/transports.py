"""A real server of the transport, with handlers that tests of it need."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from evenface_transport import Alike, Call, Code, Limits, Method, Server, StatusError

from support.patience import PATIENCE


@dataclass
class Handlers:
    """Handlers, and what became of them.

    Attributes:
        begun: The calls whose handlers have begun.
        ended: Those of "/t/wait" and "/t/waits" that were cancelled, and why.
        taken: How many requests the handler of "/t/reads" has taken.
        may_read: Lets it take some: one for each `release`.
        seen: All calls of "/t/look".
    """

    begun: list[Call] = field(default_factory=list)
    ended: list[Code | None] = field(default_factory=list)
    taken: int = 0
    may_read: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Call] = field(default_factory=list)
    beginnings: list[bytes] = field(default_factory=list)
    alike: list[Alike] = field(default_factory=list)

    def methods(self) -> dict[str, Method]:
        """Return all, by path."""
        return {
            "/t/echo": Method(unary=self.echo),
            "/t/size": Method(unary=self.size),
            "/t/look": Method(unary=self.look),
            "/t/wait": Method(unary=self.wait),
            "/t/stubborn": Method(unary=self.stubborn),
            "/t/fail": Method(unary=self.fail),
            "/t/crash": Method(unary=self.crash),
            "/t/gives_up": Method(unary=self.gives_up),
            "/t/echoes": Method(stream=self.echoes),
            "/t/sizes": Method(stream=self.sizes),
            "/t/waits": Method(stream=self.waits),
            "/t/reads": Method(stream=self.reads),
            "/t/sums": Method(stream=self.sums),
            "/t/reads_on": Method(stream=self.reads_on),
            "/t/crashes": Method(stream=self.crashes),
            "/t/judged": Method(unary=self.echo, refuse=_judge),
            "/t/refuses": Method(unary=self.echo, refuse=self.refuse),
            "/t/asks": Method(unary=self.echo, refuse_request=self.refuse_request),
        }

    async def echo(self, message: bytes, call: Call) -> bytes:
        """Return the request."""
        self.begun.append(call)
        return message

    def refuse(self, call: Call) -> StatusError | None:
        """Refuse calls that say so, which are `seen`."""
        self.seen.append(call)
        if not any(key == "x-refuse" for key, _ in call.metadata):
            return None
        return StatusError(Code.RESOURCE_EXHAUSTED, "full", (("x-retry", "1"),))

    def refuse_request(self, call: Call, beginning: bytes) -> StatusError | None:
        """Refuse requests that begin with "no"; beginnings are `beginnings`.

        With "nobody", others of this turn of the loop that begin so are refused like it; `alike`.
        """
        del call
        self.beginnings.append(beginning)
        if not beginning.startswith(b"no"):
            return None
        error = StatusError(Code.RESOURCE_EXHAUSTED, "full")
        if beginning.startswith(b"nobody"):
            error.alike = alike = Alike(len(b"nobody"))
            self.alike.append(alike)
            asyncio.get_running_loop().call_soon(_end, alike)
        return error

    async def size(self, message: bytes, call: Call) -> bytes:
        """Return as many bytes as the request says."""
        self.begun.append(call)
        return b"x" * int(message)

    async def look(self, message: bytes, call: Call) -> bytes:
        """Return the metadata as trailers."""
        self.seen.append(call)
        call.trailers.extend((key, value) for key, value in call.metadata if key.startswith("x-"))
        return message

    async def wait(self, message: bytes, call: Call) -> bytes:
        """Wait until `may_end`."""
        self.begun.append(call)
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ended.append(call.ended)
            raise
        return message

    async def stubborn(self, message: bytes, call: Call) -> bytes:
        """Wait until `may_end`, cancelled or not."""
        self.begun.append(call)
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.ended.append(call.ended)
        return message

    async def fail(self, message: bytes, call: Call) -> bytes:
        """End with the status and text that the request says: "5 text"."""
        call.trailers.append(("x-own", "trailer"))
        code, text = message.decode().split(" ", 1)
        raise StatusError(Code(int(code)), text, [("x-more-bin", b"\0\xff")])

    async def crash(self, message: bytes, call: Call) -> bytes:
        """Fail in a way nobody foresaw; with a message, so that not even that can be told."""
        if message:
            call.trailers.append(("x-bad", "a\r\nb"))
        raise ValueError("secret")

    async def gives_up(self, message: bytes, call: Call) -> bytes:
        """End as a handler does whose service is closed under it."""
        del message, call
        raise asyncio.CancelledError

    async def echoes(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Return each request."""
        self.begun.append(call)
        async for message in requests:
            yield message

    async def sizes(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Return replies of as many bytes as the requests say, "count size"."""
        async for message in requests:
            count, size = map(int, message.split())
            for _ in range(count):
                self.begun.append(call)
                yield b"x" * size

    async def waits(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Answer once, and wait until `may_end`, cancelled or not; then answer again."""
        self.begun.append(call)
        async for message in requests:
            yield message
            while not self.may_end.is_set():
                try:
                    await self.may_end.wait()
                except asyncio.CancelledError:
                    self.ended.append(call.ended)
            yield message

    async def reads(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Take a request for each release of `may_read`, and answer it."""
        self.begun.append(call)
        await self.may_read.acquire()
        async for message in requests:
            self.taken += 1
            yield b"%d" % len(message)
            await self.may_read.acquire()

    async def sums(self, requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
        """Return how many bytes all requests have."""
        del call
        yield b"%d" % sum([len(message) async for message in requests])

    async def reads_on(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Take a request, wait to be cancelled, and take another all the same."""
        self.begun.append(call)
        await anext(requests)
        with suppress(asyncio.CancelledError):
            await self.may_end.wait()
        yield await anext(requests)

    async def crashes(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Answer once and fail."""
        del call
        async for message in requests:
            yield message
            raise ValueError("secret")


def _judge(call: Call) -> StatusError | None:
    """Refuse calls that say so, and fail for those that say so."""
    said = dict(call.metadata).get("x-judge")
    if said == "crash":
        raise ValueError("secret")
    return StatusError(Code.PERMISSION_DENIED, "no") if said == "refuse" else None


@dataclass(frozen=True)
class Served:
    """A server that listens.

    Attributes:
        server: The server.
        port: Where it listens, on 127.0.0.1.
        handlers: What answers.
        faults: What the event loop was told of exceptions that nobody caught.
    """

    server: Server
    port: int
    handlers: Handlers
    faults: list[dict[str, Any]]

    @property
    def held(self) -> int:
        """Bytes of the budget that are held."""
        return self.server.budget.held


@asynccontextmanager
async def serving(
    limits: Limits | None = None,
    *,
    explain: Callable[[StatusError], StatusError] = lambda error: error,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Served]:
    """A server on a free port, which at its end holds nothing and has nothing to hide."""
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    handlers = Handlers()
    server = Server(
        handlers.methods(),
        limits or Limits(),
        explain=explain,
        tls=None if tls is None else lambda: tls,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own
    adopting: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        while True:
            connected, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(server.adopt(connected))
            adopting.add(task)
            task.add_done_callback(adopting.discard)

    accepting = asyncio.create_task(accept())
    try:
        yield Served(server, listener.getsockname()[1], handlers, faults)
    finally:
        handlers.may_end.set()
        accepting.cancel()
        await asyncio.gather(accepting, *adopting, return_exceptions=True)
        listener.close()
        await server.stop(0)
    gc.collect()  # tasks whose exceptions nobody has seen say so now
    await asyncio.sleep(0)
    assert (server.budget.held, server.tasks, server.connections) == (0, set(), 0)
    assert faults == []


def _end(alike: Alike) -> None:
    alike.is_over = True


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)
