"""The state of one stream: a call, what of its request has come, what of its reply has gone."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from evenface_transport.call import Call, Method
from evenface_transport.messages import Assembler

RECEIVE_WINDOW: Final = 2**20


class Requests:
    """The requests of a stream that its handler has not read yet: an asynchronous iterator.

    Args:
        on_take: Told when one has been read, so that more may come.

    Attributes:
        waiting_bytes: Bytes that have not been read.
    """

    def __init__(self, on_take: Callable[[], None]) -> None:
        self.waiting_bytes = 0
        self._on_take = on_take
        self._waiting: deque[bytes] = deque()
        self._more: asyncio.Future[None] | None = None
        self._is_ended = False

    def put(self, message: bytes) -> None:
        """Add one."""
        self._waiting.append(message)
        self.waiting_bytes += len(message)
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self._is_ended = True
        self._wake()

    def __aiter__(self) -> "Requests":
        return self

    async def __anext__(self) -> bytes:
        while not self._waiting:
            if self._is_ended:
                raise StopAsyncIteration
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        message = self._waiting.popleft()
        self.waiting_bytes -= len(message)
        self._on_take()
        return message

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


class Stream:
    """One stream of a connection; its connection alone changes it.

    Attributes:
        number: Of the stream.
        call: What the handler is told.
        method: Who answers.
        assembler: Puts the requests together.
        message: The request of a unary call, once it is here.
        requests: Those of a stream.
        receive_window: Bytes that the peer may still send.
        is_ended: Whether the peer sends no more.
        closed: Whether we send no more either.
        task: The handler at work.
        held: Bytes of the budget, request by request.
        since: When the message at hand began to come in or to go out.
        send_window: Bytes that we may still send.
        has_head: Whether the reply has begun.
        queue: Data that waits to be sent.
        queued: Bytes in it.
        sending: Bytes of it that the budget counts.
        tail: Frames that go after the data and end the reply.
        drained: Resolved once the queue is empty.
    """

    __slots__ = (
        "assembler", "call", "closed", "drained", "has_head", "held", "is_ended", "message",
        "method", "number", "queue", "queued", "receive_window", "requests", "send_window",
        "sending", "since", "tail", "task",
    )  # fmt: skip

    def __init__(
        self, number: int, method: Method, call: Call, assembler: Assembler, send_window: int
    ) -> None:
        self.number = number
        self.method = method
        self.call = call
        self.assembler = assembler
        self.message: bytes | None = None
        self.requests: Requests | None = None
        self.receive_window = RECEIVE_WINDOW
        self.is_ended = False
        self.closed = False
        self.task: asyncio.Task[None] | None = None
        self.held: deque[int] = deque()
        self.since: float | None = None
        self.send_window = send_window
        self.has_head = False
        self.queue: deque[memoryview] = deque()
        self.queued = 0
        self.sending = 0
        self.tail: bytes | None = None
        self.drained: asyncio.Future[None] | None = None
