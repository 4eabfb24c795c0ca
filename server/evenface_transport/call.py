"""What a handler knows of the call that it answers, and how handlers are registered."""

import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evenface_transport.budget import Account
from evenface_transport.status import Code, StatusError


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of a connection.

    Attributes:
        address: "host:port", or what else the socket calls it.
        certificate: Of a client that had to show one, as `ssl.SSLSocket.getpeercert` has it.
    """

    address: str
    certificate: Mapping[str, Any] | None


class Call:
    """One call.

    Attributes:
        path: "/package.Service/Method".
        metadata: What the caller sent, in order; bytes for keys that end in "-bin".
        deadline: `time.monotonic()` after which nobody waits for the answer; infinity for never.
        peer: Who calls.
        trailers: Metadata to end the call with; handlers append to it.
        ended: Why the transport cancelled the handler, once it has: CANCELLED, DEADLINE_EXCEEDED.
        held: Bytes that its handler has said that it holds.
    """

    __slots__ = ("_account", "deadline", "ended", "held", "metadata", "path", "peer", "trailers")

    def __init__(
        self,
        path: str,
        metadata: tuple[tuple[str, str | bytes], ...],
        deadline: float,
        peer: Peer,
        account: Account | None = None,
    ) -> None:
        self.path = path
        self.metadata = metadata
        self.deadline = deadline
        self.peer = peer
        self.trailers: list[tuple[str, str | bytes]] = []
        self.ended: Code | None = None
        self.held = 0
        self._account = account

    def hold(self, size: int) -> None:
        """Count bytes besides those of requests and of what is being sent, or so many less.

        What is still held when the call ends is let go of then.
        """
        if self._account is not None:
            self._account.add(size)
            self.held += size

    def let_go(self) -> None:
        """Let go of what is held, and count nothing more: the call has ended."""
        self.hold(-self.held)
        self._account = None

    @property
    def has_deadline(self) -> bool:
        """Whether the caller set one."""
        return self.deadline < math.inf


Unary = Callable[[bytes, Call], Awaitable[bytes]]
# One reply for each request, or any number: what is held of requests is let go reply by reply.
Stream = Callable[[AsyncIterator[bytes], Call], AsyncGenerator[bytes, None]]


@dataclass(frozen=True)
class Method:
    """How one RPC is answered: by one of the two.

    Attributes:
        unary: Takes the one request of a call.
        stream: Takes the requests of a call one by one.
        refuse: Asked when a call begins, before its request comes in; an error that it returns
            ends the call, which costs a fraction of what a handler does.
        refuse_request: For a unary call, asked as soon as its request begins to come in, with the
            first bytes of it, up to 256; else as `refuse`.
        max_message_bytes: Of one request, also of what it becomes when inflated, where that is less
            than for all.
        takes_one: Whether a stream takes one request, so that another ends the call.
    """

    unary: Unary | None = None
    stream: Stream | None = None
    refuse: Callable[[Call], StatusError | None] | None = None
    refuse_request: Callable[[Call, bytes], StatusError | None] | None = None
    max_message_bytes: int = sys.maxsize
    takes_one: bool = False
