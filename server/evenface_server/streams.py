"""Bulk streams: several requests of one stream at work, answered in order. Transport-free.

What a stream holds is bounded: it reads no further than a number of requests beyond the last
reply that its reader has taken, so that a client which stops reading stops being read.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class Streams:
    """All streams of a server.

    Args:
        max_requests: Requests of one stream that are held at a time.
    """

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._open: set[_Stream[Any, Any]] = set()
        self._closed = False

    async def answer(
        self,
        requests: AsyncIterator[RequestT],
        answer: Callable[[RequestT], Awaitable[ReplyT]],
    ) -> AsyncGenerator[ReplyT, None]:
        """Yield the replies to requests, in order.

        Ends after the last request's reply, or, once `close` was called, after the replies to
        what has been read.

        Args:
            requests: Read as room allows.
            answer: Called in a task of its own for each; what it raises ends the stream.
        """
        stream = _Stream(requests, answer, self._max_requests)
        self._open.add(stream)
        try:
            if not self._closed:
                async for reply in stream.replies():
                    yield reply
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


class _Stream(Generic[RequestT, ReplyT]):
    def __init__(
        self,
        requests: AsyncIterator[RequestT],
        answer: Callable[[RequestT], Awaitable[ReplyT]],
        max_requests: int,
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._room = asyncio.Semaphore(max_requests)
        self._replies: asyncio.Queue[asyncio.Future[ReplyT] | None] = asyncio.Queue()
        self._working: set[asyncio.Future[ReplyT]] = set()
        self._reader = asyncio.create_task(self._read())

    async def replies(self) -> AsyncIterator[ReplyT]:
        while (work := await self._replies.get()) is not None:
            yield await work
            self._room.release()  # only now: the reply has been taken
        if not self._reader.cancelled():
            await self._reader  # raises what reading raised

    def stop_reading(self) -> None:
        self._reader.cancel()

    def stop(self) -> None:
        self._reader.cancel()
        for work in self._working:
            work.cancel()

    async def _read(self) -> None:
        try:
            while True:
                await self._room.acquire()
                request = await anext(self._requests)
                work = asyncio.ensure_future(self._answer(request))
                self._working.add(work)
                work.add_done_callback(self._working.discard)
                self._replies.put_nowait(work)
        except StopAsyncIteration:
            pass
        finally:
            self._replies.put_nowait(None)
