"""Bulk streams: several requests of one stream at work, answered in order. Transport-free.

What a stream holds is bounded: it reads no further than a number of requests beyond the last
reply that its reader has taken, so that a client which stops reading stops being read. Small
requests count as a part of one, so that as much is at work where each holds little.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from evenface_core.errors import ServiceUnavailable

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

# Begins work on requests that came in together: what gives the replies to the first of them, to the
# next ones, and so on.
Begin = Callable[[Sequence[RequestT]], Iterable[Awaitable[Sequence[ReplyT]]]]

WHOLE, SMALL = 4, 1  # what requests count as

_RETRY_AFTER_DRAIN = 1.0


class Streams:
    """All streams of a server.

    Args:
        max_requests: Requests of one stream that are held at a time; of small ones, four times as
            many.
    """

    def __init__(self, max_requests: int) -> None:
        self._most = max_requests * WHOLE
        self._open: set[_Stream[Any, Any]] = set()
        self._closed = False

    async def answer(
        self,
        requests: AsyncIterator[RequestT],
        begin: Begin[RequestT, ReplyT],
        weigh: Callable[[RequestT], int],
    ) -> AsyncGenerator[ReplyT, None]:
        """Yield the replies to requests, in order.

        Ends after the last request's reply, or, once `close` was called, after the replies to
        what has been read.

        Args:
            requests: Read as room allows.
            begin: Told what was read in one turn of the loop. Each of what it yields is awaited
                in a task of its own; what that or itself raises ends the stream.
            weigh: Says what a request counts as, `WHOLE` or `SMALL`.
        """
        stream = _Stream(requests, begin, weigh, self._most)
        self._open.add(stream)
        try:
            if not self._closed:
                async for reply in stream.replies():
                    passed = [reply]
                    del reply  # which is its reader's alone
                    yield passed.pop()
        finally:
            self._open.discard(stream)
            stream.stop()

    @property
    def closed(self) -> bool:
        """Whether streams have been told to end."""
        return self._closed

    def close(self) -> None:
        """Read no further in any stream; what has been read is answered."""
        self._closed = True
        for stream in self._open:
            stream.stop_reading()


async def serve(
    streams: Streams,
    requests: AsyncIterator[RequestT],
    begin: Begin[RequestT, ReplyT],
    weigh: Callable[[RequestT], int] = lambda _: WHOLE,
) -> AsyncGenerator[ReplyT, None]:
    """Yield the replies to requests, in order, as `Streams.answer` does.

    Raises:
        ServiceUnavailable: The server drains: what was read has been answered, no more is read.
    """
    async with aclosing(streams.answer(requests, begin, weigh)) as answers:
        async for reply in answers:
            passed = [reply]
            del reply  # which is its reader's alone
            yield passed.pop()
    if streams.closed:
        raise ServiceUnavailable("the server is draining", retry_after=_RETRY_AFTER_DRAIN)


def each(answer: Callable[[RequestT], Awaitable[ReplyT]]) -> Begin[RequestT, ReplyT]:
    """Begin work on each request by itself."""

    async def alone(request: RequestT) -> Sequence[ReplyT]:
        work = answer(request)
        del request
        return [await work]

    return lambda requests: map(alone, requests)


class _Stream(Generic[RequestT, ReplyT]):
    def __init__(
        self,
        requests: AsyncIterator[RequestT],
        begin: Begin[RequestT, ReplyT],
        weigh: Callable[[RequestT], int],
        most: int,
    ) -> None:
        self._requests = requests
        self._begin = begin
        self._weigh = weigh
        self._most = most
        self._weights: deque[int] = deque()  # of what was read and has no reply yet
        self._held = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._read: list[RequestT] = []  # and not begun
        self._replies: asyncio.Queue[asyncio.Future[Sequence[ReplyT]] | None] = asyncio.Queue()
        self._working: set[asyncio.Future[Sequence[ReplyT]]] = set()
        self._is_stopped = False
        self._context = copy_context()  # the call's, in which all work on it begins
        self._reader = asyncio.create_task(self._read_all())
        self._reader.add_done_callback(self._end)

    async def replies(self) -> AsyncIterator[ReplyT]:
        while (work := await self._replies.get()) is not None:
            replies = deque(await work)
            del work  # which has them, too
            while replies:
                yield replies.popleft()
                self._hold(-self._weights.popleft())  # only now: the reply has been taken
        if not self._reader.cancelled():
            await self._reader  # raises what reading raised

    def stop_reading(self) -> None:
        self._context.run(self._begin_all)
        self._reader.cancel()

    def stop(self) -> None:
        self._is_stopped = True
        self._reader.cancel()
        del self._reader  # by what that ends with, it would hold this, and all that was read
        for work in self._working:
            work.cancel()

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._has_room.wait()
                request = await anext(self._requests)
                self._weights.append(self._weigh(request))
                self._hold(self._weights[-1])
                if not self._read:
                    loop.call_soon(self._begin_all)  # once no more can be read without waiting
                self._read.append(request)
                del request  # the next one may be long in coming
        except StopAsyncIteration:
            pass

    def _end(self, reader: asyncio.Future[None]) -> None:
        if not reader.cancelled():
            reader.exception()  # which nobody may be there to hear of
        self._begin_all()
        self._replies.put_nowait(None)

    def _hold(self, more: int) -> None:
        self._held += more
        if self._held < self._most:
            self._has_room.set()
        else:
            self._has_room.clear()

    def _begin_all(self) -> None:
        """Begin work on what has been read."""
        requests, self._read = self._read, []
        if self._is_stopped or not requests:
            return
        try:
            for answer in self._begin(requests):
                self._add(asyncio.ensure_future(answer))
        except Exception as error:  # noqa: BLE001 - the stream's reader gets it
            self._add(_failed(error))

    def _add(self, work: asyncio.Future[Sequence[ReplyT]]) -> None:
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        self._replies.put_nowait(work)


def _failed(error: Exception) -> asyncio.Future[Any]:
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    return failed
