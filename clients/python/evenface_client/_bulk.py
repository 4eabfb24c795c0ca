"""The bookkeeping of a bulk stream, without a transport.

Images come in one by one, requests of several images go out, replies come back in order, and
outcomes leave in the order of the images. What is held is bounded by `full`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from evenface.v1 import face_service_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2

from evenface_client import _status
from evenface_client._chunks import Budget, Chunk, Chunker
from evenface_client._inputs import Item
from evenface_client.errors import EvenfaceClientError, InvalidRequest, TryAgain
from evenface_client.results import Outcome

Reply: TypeAlias = (
    face_service_pb2.EncodeStreamResponse | face_service_pb2.ClassifyFaceStreamResponse
)
R = TypeVar("R", bound=Reply)
T = TypeVar("T")

_IMAGES_PER_REQUEST = 16
_REQUEST_BYTES = 2**20
_HELD_IMAGES = 512
_HELD_BYTES = 64 * 2**20
_BACKOFF = 0.2  # seconds, doubled at each try


@dataclass(frozen=True)
class Wire(Generic[R, T]):
    """What differs between the two streams.

    Attributes:
        method: Name of the RPC.
        build: Makes a request from an id and a chunk.
        split: Takes a reply apart, one value for each item.
    """

    method: str
    build: Callable[[int, Chunk], Message]
    split: Callable[[R], Sequence[T]]


@dataclass(frozen=True)
class Outgoing:
    """Requests to send.

    Attributes:
        requests: In this order.
        delay: Seconds to wait before.
    """

    requests: list[Message] = field(default_factory=list)
    delay: float = 0.0


@dataclass
class _Sent:
    chunk: Chunk
    tries: int


class Bulk(Generic[R, T]):
    """The state of one bulk call.

    Args:
        wire: Which stream.
        budget: What one message may hold.
        retries: How often a request, or the stream without an answer, is tried again.
        request_id: For errors.
    """

    def __init__(self, wire: Wire[R, T], budget: Budget, retries: int, request_id: str) -> None:
        items = min(_IMAGES_PER_REQUEST, budget.items)
        # An image larger than the preferred size of a request still goes, alone.
        self._chunker = Chunker(Budget(items, budget.payload))
        self._wire = wire
        self._retries = retries
        self._request_id = request_id
        self._sent: dict[int, _Sent] = {}
        self._sources: dict[int, str | None] = {}
        self._done: dict[int, Outcome[T]] = {}
        self._added = self._delivered = self._last_id = self._reopened = 0
        self._gathered_bytes = self._held_bytes = 0

    @property
    def method(self) -> str:
        """Name of the RPC."""
        return self._wire.method

    @property
    def added(self) -> int:
        """Number of images so far; the next one's index."""
        return self._added

    @property
    def full(self) -> bool:
        """Whether to wait for replies before adding more."""
        held = self._added - self._delivered
        return bool(self._sent) and (held >= _HELD_IMAGES or self._held_bytes >= _HELD_BYTES)

    @property
    def waiting(self) -> bool:
        """Whether replies are outstanding."""
        return bool(self._sent)

    def add(self, item: Item) -> Outgoing:
        """Add an image; returns the requests that it completes."""
        index = self._added
        self._added += 1
        self._sources[index] = item.source
        try:
            chunk = self._chunker.add(index, item)
        except InvalidRequest as error:
            self._finish(index, None, error)
            return Outgoing()
        requests = self._send([chunk] if chunk else [])
        self._gathered_bytes += len(item.data)
        if self._gathered_bytes >= _REQUEST_BYTES:
            requests += self.flush().requests
        return Outgoing(requests)

    def reject(self, error: InvalidRequest) -> None:
        """Note that the next image cannot be used."""
        index = self._added
        self._added += 1
        self._sources[index] = error.source
        self._finish(index, None, error)

    def flush(self) -> Outgoing:
        """The request of the images that were added last."""
        chunk = self._chunker.flush()
        return Outgoing(self._send([chunk] if chunk else []))

    def receive(self, reply: R) -> Outgoing:
        """Take a reply in; returns what must be sent again because of it.

        Raises:
            EvenfaceClientError: The request failed for a reason that concerns every image.
        """
        sent = self._sent.pop(reply.id)
        self._held_bytes -= sent.chunk.payload
        self._reopened = 0
        if reply.WhichOneof("result") == "error":
            return self._repeat(sent, reply.error)
        for offset, value in enumerate(self._wire.split(reply)):
            self._finish(sent.chunk.start + offset, value, None)
        return Outgoing()

    def reopen(self, error: TryAgain) -> Outgoing:
        """After the stream broke: the requests that a new stream must begin with.

        Raises:
            TryAgain: Too many new streams brought no reply.
        """
        if self._reopened >= self._retries:
            raise error
        delay = self._delay(error, self._reopened)
        self._reopened += 1
        return Outgoing(
            [self._wire.build(at, sent.chunk) for at, sent in self._sent.items()], delay
        )

    def ready(self) -> Iterator[Outcome[T]]:
        """Hand out the outcomes whose turn has come."""
        while self._delivered in self._done:
            outcome = self._done.pop(self._delivered)
            self._delivered += 1
            yield outcome

    def _repeat(self, sent: _Sent, status: status_pb2.Status) -> Outgoing:
        error = _status.from_status(status, sent.chunk.place, self._request_id)
        if isinstance(error, TryAgain) and sent.tries < self._retries:
            return Outgoing(
                self._send([sent.chunk], sent.tries + 1), self._delay(error, sent.tries)
            )
        if not isinstance(error, InvalidRequest) or not error.field.startswith("images"):
            raise error
        if len(sent.chunk.items) > 1:
            # One bad image must not cost its neighbours.
            return Outgoing(self._send(sent.chunk.singly()))
        self._finish(sent.chunk.start, None, error)
        return Outgoing()

    def _send(self, chunks: Sequence[Chunk], tries: int = 0) -> list[Message]:
        requests = []
        for chunk in chunks:
            self._last_id += 1
            self._sent[self._last_id] = _Sent(chunk, tries)
            self._held_bytes += chunk.payload
            self._gathered_bytes = 0
            requests.append(self._wire.build(self._last_id, chunk))
        return requests

    def _finish(self, index: int, value: T | None, error: EvenfaceClientError | None) -> None:
        self._done[index] = Outcome(index, self._sources.pop(index), value, error)

    def _delay(self, error: TryAgain, tries: int) -> float:
        return _BACKOFF * 2**tries if error.retry_after is None else error.retry_after
