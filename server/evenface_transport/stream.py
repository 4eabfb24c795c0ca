"""The state of one stream: a call, what of its request has come, what of its reply has gone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from evenface_transport.call import Call, Method
from evenface_transport.messages import Assembler, Compressed
from evenface_transport.status import StatusError

RECEIVE_WINDOW: Final = 2**20
MESSAGE_BYTES: Final = 128  # what a message takes besides its bytes, roughly


class Requests:
    """The requests of a stream that its handler has not read yet: an asynchronous iterator.

    Args:
        on_take: Told when one has been read, so that more may come.
        inflate: Makes plain ones of those that are compressed.

    Attributes:
        unread: Bytes that wait to be read, with what the messages take besides.
    """

    __slots__ = ("_inflate", "_is_ended", "_more", "_on_take", "_waiting", "unread")

    def __init__(
        self, on_take: Callable[[], None], inflate: Callable[[bytes], Awaitable[bytes]]
    ) -> None:
        self._on_take = on_take
        self._inflate = inflate
        self._waiting: deque[bytes] = deque()
        self._more: asyncio.Future[None] | None = None
        self._is_ended = False
        self.unread = 0

    def put(self, message: bytes) -> None:
        """Add one."""
        self._waiting.append(message)
        self.unread += len(message) + MESSAGE_BYTES
        self._wake()

    @property
    def is_ended(self) -> bool:
        """Whether there will be no more."""
        return self._is_ended

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
        self.unread -= len(message) + MESSAGE_BYTES
        self._on_take()
        return await self._inflate(message) if isinstance(message, Compressed) else message

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
        encoding: How compressed requests are compressed.
        refusal: Why the call is refused; None where it is not.
        message: The request of a unary call, once it is here.
        requests: Those of a stream.
        receive_window: Bytes that the peer may still send.
        is_ended: Whether the peer sends no more.
        closed: Whether we send no more either.
        task: The handler at work.
        held: Bytes of the budget, request by request.
        owed: How many requests were read by the handler and not yet replied to.
        overhead: Bytes of the budget for the call itself.
        coming_since: When the message at hand began to come in.
        going_since: When the message at hand began to go out.
        send_window: Bytes that we may still send.
        has_head: Whether the reply has begun.
        queue: Data that waits to be sent.
        queued: Bytes in it.
        sending: Bytes of it that the budget counts.
        tail: Frames that go after the data and end the reply.
        drained: Resolved once the queue is empty.
    """

    __slots__ = (
        "assembler", "call", "closed", "coming_since", "drained", "encoding", "going_since",
        "has_head", "held", "is_ended", "message", "method", "number", "overhead", "owed", "queue",
        "queued", "receive_window", "refusal", "requests", "send_window", "sending", "tail", "task",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        method: Method,
        call: Call,
        assembler: Assembler,
        encoding: str,
        send_window: int,
    ) -> None:
        self.number = number
        self.method = method
        self.call = call
        self.assembler = assembler
        self.encoding = encoding
        self.refusal: StatusError | None = None
        self.message: bytes | None = None
        self.requests: Requests | None = None
        self.receive_window = RECEIVE_WINDOW
        self.is_ended = False
        self.closed = False
        self.task: asyncio.Task[None] | None = None
        self.held: deque[int] = deque()
        self.owed = 0
        self.overhead = 0
        self.coming_since: float | None = None
        self.going_since: float | None = None
        self.send_window = send_window
        self.has_head = False
        self.queue: deque[memoryview] = deque()
        self.queued = 0
        self.sending = 0
        self.tail: bytes | None = None
        self.drained: asyncio.Future[None] | None = None

    def let_go(self) -> None:
        """Forget what it held of the request, and what refers to it; it is closed."""
        self.message = self.requests = self.task = None
        self.call.let_go()
        self.assembler.clear()
