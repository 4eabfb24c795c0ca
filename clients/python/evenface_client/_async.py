"""Runs operations and bulk streams on a `grpc.aio.Channel`; the twin of `_sync`."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from evenface_client._bulk import Bulk, Outgoing
from evenface_client._inputs import Images, ImageSource, Place, coerce, each_source
from evenface_client._operations import Operation
from evenface_client._requests import Call
from evenface_client._transport import IN_FLIGHT, CallOptions, failure, stubs
from evenface_client.errors import (
    DeadlineExceeded,
    EvenfaceClientError,
    InvalidRequest,
    Overloaded,
    TryAgain,
    Unavailable,
)
from evenface_client.results import Outcome

T = TypeVar("T")
_Flight: TypeAlias = tuple[Call[Any], Any]  # and its pending reply


class AsyncTransport:
    """Sends calls and awaits them.

    Args:
        channel: Where to.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = stubs(channel)

    async def run(self, operation: Operation[T], options: CallOptions) -> T:
        """Run an operation to its result.

        Raises:
            EvenfaceClientError: A call failed; the others were cancelled.
        """
        try:
            calls = next(operation)
            while True:
                calls = operation.send(await self._gather(calls, options))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _gather(self, calls: Iterable[Call[Any]], options: CallOptions) -> list[Any]:
        replies: list[Any] = []
        flying: deque[_Flight] = deque()
        width = IN_FLIGHT
        remaining = iter(calls)
        try:
            # In a thread, because making a request may read files.
            while (call := await asyncio.to_thread(next, remaining, None)) is not None:
                while len(flying) >= width:
                    width = await self._land(flying, replies, options, width)
                flying.append((call, self._send(call, options)))
            while flying:
                width = await self._land(flying, replies, options, width)
        finally:
            for _, pending in flying:
                pending.cancel()
        return replies

    async def _land(
        self, flying: deque[_Flight], replies: list[Any], options: CallOptions, width: int
    ) -> int:
        """Wait for the oldest call; returns how many may be in flight from now on."""
        call, pending = flying.popleft()
        try:
            replies.append(await _result(call, pending, options))
        except Overloaded:
            if not flying:
                raise
            # Our own calls may be what fills the queue: let them end, then send one at a time.
            for _, other in flying:
                await other.code()
            replies.append(await _result(call, self._send(call, options), options))
            return 1
        return width

    def _send(self, call: Call[Any], options: CallOptions) -> Any:  # noqa: ANN401 - a pending call
        return self._stub(call.method)(call.request, **options.arguments())

    async def stream(
        self, bulk: Bulk[Any, T], images: Images | AsyncIterable[ImageSource], options: CallOptions
    ) -> AsyncGenerator[Outcome[T], None]:
        """Run a bulk stream; yields outcomes in the order of the images.

        Raises:
            EvenfaceClientError: The stream failed for a reason that concerns every image.
        """
        line = _Line(self._stub(bulk.method), options)
        try:
            async for outgoing in _added(bulk, images):
                await line.send(outgoing)
                await _turn(bulk, line, wait=False)
                for outcome in bulk.ready():
                    yield outcome
                while bulk.full:
                    await _turn(bulk, line, wait=True)
                    for outcome in bulk.ready():
                        yield outcome
            await line.send(bulk.flush())
            while bulk.waiting:
                await _turn(bulk, line, wait=True)
                for outcome in bulk.ready():
                    yield outcome
            for outcome in bulk.ready():
                yield outcome
            await line.finish()
        finally:
            await line.close()


async def _result(call: Call[Any], pending: Any, options: CallOptions) -> Any:  # noqa: ANN401 - any reply
    try:
        return await pending
    except grpc.RpcError as error:
        raise failure(error, call.place, options.request_id) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Not we were cancelled but the call was: the client was closed meanwhile.
        raise failure(error, call.place, options.request_id) from error


async def _each(images: Images | AsyncIterable[ImageSource]) -> AsyncIterator[ImageSource]:
    if isinstance(images, AsyncIterable):
        async for source in images:
            yield source
    else:
        for source in each_source(images):
            yield source


async def _added(
    bulk: Bulk[Any, T], images: Images | AsyncIterable[ImageSource]
) -> AsyncIterator[Outgoing]:
    """Add images one by one, those of an array [N, H, W, C] too."""
    async for source in _each(images):
        try:
            # In a thread, because it may read a file.
            items = await asyncio.to_thread(coerce, source, bulk.added)
        except InvalidRequest as error:
            bulk.reject(error)
            yield Outgoing()
        else:
            for item in items:
                yield bulk.add(item)


async def _turn(bulk: Bulk[Any, T], line: "_Line", *, wait: bool) -> None:
    """Take at most one reply in."""
    try:
        reply = await line.receive(wait=wait)
    except TryAgain as error:
        again = bulk.reopen(error)
        await line.close()
        line.open()
        await line.send(again)
    else:
        if reply is not None:
            await line.send(bulk.receive(reply))


class _Line:
    """A bidirectional stream with a queue at either end, filled and emptied by tasks."""

    def __init__(self, method: Any, options: CallOptions) -> None:  # noqa: ANN401 - either stub
        self._method = method
        self._options = options
        self.open()

    def open(self) -> None:
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._call = self._method(_until_none(self._outbox), metadata=self._options.metadata)
        self._reader = asyncio.create_task(_pump(self._call, self._inbox))

    async def finish(self) -> None:
        """Say that no more requests come, and let the server end the stream."""
        self._outbox.put_nowait(None)
        with contextlib.suppress(EvenfaceClientError):  # all replies are in
            await self.receive(wait=True)

    async def close(self) -> None:
        self._outbox.put_nowait(None)
        self._call.cancel()
        await self._reader

    async def send(self, outgoing: Outgoing) -> None:
        if outgoing.delay:
            await asyncio.sleep(outgoing.delay)
        for request in outgoing.requests:
            self._outbox.put_nowait(request)

    async def receive(self, *, wait: bool) -> Any:  # noqa: ANN401 - a reply of either stream, or None
        if not wait and self._inbox.empty():
            return None
        try:
            found = await asyncio.wait_for(self._inbox.get(), self._options.timeout)
        except TimeoutError:
            timeout, request_id = self._options.timeout, self._options.request_id
            raise DeadlineExceeded(
                f"no reply on the stream for {timeout:g} s", request_id=request_id
            ) from None
        if isinstance(found, (grpc.RpcError, asyncio.CancelledError)):
            raise failure(found, Place(), self._options.request_id)
        if found is None:
            raise Unavailable("the server ended the stream", request_id=self._options.request_id)
        return found


async def _until_none(outbox: "asyncio.Queue[Message | None]") -> AsyncIterator[Message]:
    while (request := await outbox.get()) is not None:
        yield request


async def _pump(call: AsyncIterable[Any], inbox: "asyncio.Queue[Any]") -> None:
    try:
        async for reply in call:
            inbox.put_nowait(reply)
        inbox.put_nowait(None)
    except (grpc.RpcError, asyncio.CancelledError) as error:
        inbox.put_nowait(error)
