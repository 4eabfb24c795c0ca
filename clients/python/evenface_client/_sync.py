"""Runs operations and bulk streams on a `grpc.Channel`."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from evenface_client._bulk import Bulk, Outgoing
from evenface_client._inputs import Images, Place, coerce, each_source
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
_Flight: TypeAlias = tuple[Call[Any], Any]  # and its future


class SyncTransport:
    """Sends calls and waits for them.

    Args:
        channel: Where to.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = stubs(channel)

    def run(self, operation: Operation[T], options: CallOptions) -> T:
        """Run an operation to its result.

        Raises:
            EvenfaceClientError: A call failed; the others were cancelled.
        """
        try:
            calls = next(operation)
            while True:
                calls = operation.send(self._gather(calls, options))
        except StopIteration as end:
            result: T = end.value
            return result

    def _gather(self, calls: Iterable[Call[Any]], options: CallOptions) -> list[Any]:
        replies: list[Any] = []
        flying: deque[_Flight] = deque()
        width = IN_FLIGHT
        try:
            for call in calls:
                while len(flying) >= width:
                    width = self._land(flying, replies, options, width)
                flying.append((call, self._send(call, options)))
            while flying:
                width = self._land(flying, replies, options, width)
        finally:
            for _, future in flying:
                future.cancel()
        return replies

    def _land(
        self, flying: deque[_Flight], replies: list[Any], options: CallOptions, width: int
    ) -> int:
        """Wait for the oldest call; returns how many may be in flight from now on."""
        call, future = flying.popleft()
        try:
            replies.append(_result(call, future, options))
        except Overloaded:
            if not flying:
                raise
            # Our own calls may be what fills the queue: let them end, then send one at a time.
            for _, other in flying:
                other.exception()
            replies.append(_result(call, self._send(call, options), options))
            return 1
        return width

    def _send(self, call: Call[Any], options: CallOptions) -> Any:  # noqa: ANN401 - a future
        return self._stub(call.method).future(call.request, **options.arguments())

    def stream(
        self, bulk: Bulk[Any, T], images: Images, options: CallOptions
    ) -> Iterator[Outcome[T]]:
        """Run a bulk stream; yields outcomes in the order of the images.

        Raises:
            EvenfaceClientError: The stream failed for a reason that concerns every image.
        """
        line = _Line(self._stub(bulk.method), options)
        try:
            for outgoing in _added(bulk, images):
                line.send(outgoing)
                yield from _turn(bulk, line, wait=False)
                while bulk.full:
                    yield from _turn(bulk, line, wait=True)
            line.send(bulk.flush())
            while bulk.waiting:
                yield from _turn(bulk, line, wait=True)
            yield from bulk.ready()
            line.finish()
        finally:
            line.close()


def _result(call: Call[Any], future: Any, options: CallOptions) -> Any:  # noqa: ANN401 - any reply
    try:
        return future.result()
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        raise failure(error, call.place, options.request_id) from error
    except BaseException:
        future.cancel()
        raise


def _added(bulk: Bulk[Any, T], images: Images) -> Iterator[Outgoing]:
    """Add images one by one, those of an array [N, H, W, C] too."""
    for source in each_source(images):
        try:
            items = coerce(source, bulk.added)
        except InvalidRequest as error:
            bulk.reject(error)
            yield Outgoing()
        else:
            yield from map(bulk.add, items)


def _turn(bulk: Bulk[Any, T], line: "_Line", *, wait: bool) -> Iterator[Outcome[T]]:
    """Take at most one reply in, and hand out what is ready."""
    try:
        reply = line.receive(wait=wait)
    except TryAgain as error:
        again = bulk.reopen(error)
        line.close()
        line.open()
        line.send(again)
    else:
        if reply is not None:
            line.send(bulk.receive(reply))
    yield from bulk.ready()


class _Line:
    """A bidirectional stream with a queue at either end.

    gRPC takes requests from `outbox` in a thread of its own; a second thread puts replies into
    `inbox`, so that waiting for one can end at a timeout.
    """

    def __init__(self, method: Any, options: CallOptions) -> None:  # noqa: ANN401 - either stub
        self._method = method
        self._options = options
        self.open()

    def open(self) -> None:
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        requests = iter(self._outbox.get, None)
        self._call = self._method(requests, metadata=self._options.metadata)
        threading.Thread(target=_pump, args=(self._call, self._inbox), daemon=True).start()

    def finish(self) -> None:
        """Say that no more requests come, and let the server end the stream."""
        self._outbox.put(None)
        with contextlib.suppress(EvenfaceClientError):  # all replies are in
            self.receive(wait=True)

    def close(self) -> None:
        self._outbox.put(None)
        self._call.cancel()

    def send(self, outgoing: Outgoing) -> None:
        if outgoing.delay:
            time.sleep(outgoing.delay)
        for request in outgoing.requests:
            self._outbox.put(request)

    def receive(self, *, wait: bool) -> Any:  # noqa: ANN401 - a reply of either stream, or None
        try:
            found = self._inbox.get(block=wait, timeout=self._options.timeout)
        except queue.Empty:
            if not wait:
                return None
            timeout, request_id = self._options.timeout, self._options.request_id
            raise DeadlineExceeded(
                f"no reply on the stream for {timeout:g} s", request_id=request_id
            ) from None
        if isinstance(found, grpc.RpcError):
            raise failure(found, Place(), self._options.request_id)
        if found is None:
            raise Unavailable("the server ended the stream", request_id=self._options.request_id)
        return found


def _pump(call: Iterable[Any], inbox: "queue.SimpleQueue[Any]") -> None:
    try:
        for reply in call:
            inbox.put(reply)
        inbox.put(None)
    except grpc.RpcError as error:
        inbox.put(error)
