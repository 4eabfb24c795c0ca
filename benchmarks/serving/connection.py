"""One connection of the open-loop client: sends the same call again and again, counts answers."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks.serving import http2
from benchmarks.serving.wires import HOST


@dataclass(frozen=True)
class Offer:
    """What is offered to a server.

    Attributes:
        port: Of the server.
        path: Of the call.
        body: File with the framed request.
        answer_bytes: Size of a right answer's body.
        rate: Calls per second, on average.
        seconds: How long.
        deadline: Seconds after which nobody waits for a call.
        connections: That calls are spread over by turns.
    """

    port: int
    path: str
    body: Path
    answer_bytes: int
    rate: float
    seconds: float
    deadline: float
    connections: int


@dataclass
class Tally:
    """Counts while a run goes on; times are in milliseconds."""

    lags: list[float] = field(default_factory=list)
    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    expired: int = 0
    lost: int = 0


@dataclass
class _Call:
    due: float
    received: int = 0


class Connection(asyncio.Protocol):
    """One HTTP/2 connection that sends the same call again and again."""

    def __init__(self, offer: Offer, tally: Tally) -> None:
        self._tally = tally
        self._answer_bytes = offer.answer_bytes
        block = http2.header_block(
            offer.path, f"{HOST}:{offer.port}", max(1, round(offer.deadline * 1000))
        )
        body = offer.body.read_bytes()
        self._prepared = http2.PreparedCall(block, body)
        self._body_bytes = len(body)
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[float] = deque()
        self._deadlines: deque[tuple[float, int]] = deque()
        self._deadline = offer.deadline
        self._next_stream = 1
        self._max_streams = 2**31
        self._window = http2.DEFAULT_WINDOW
        self._received = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self.settled = asyncio.get_running_loop().create_future()

    def call(self, due: float) -> None:
        """Send a call, or as soon as the server's windows let it."""
        self._waiting.append(due)
        self._send()

    def expire(self, now: float) -> None:
        """Cancel what has reached its deadline."""
        while self._waiting and self._waiting[0] + self._deadline <= now:
            self._waiting.popleft()
            self._tally.expired += 1
        cancelled = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, stream = self._deadlines.popleft()
            if self._calls.pop(stream, None):
                self._tally.expired += 1
                cancelled.append(http2.cancel(stream))
        if cancelled:
            self._write(b"".join(cancelled))
            self._send()

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for."""
        return not self._calls and not self._waiting

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)  # as that of any TCP connection
        self._write(http2.opening())

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what was under way."""
        del exc
        self._transport = None
        self._tally.lost += len(self._calls) + len(self._waiting)
        self._calls.clear()
        self._waiting.clear()

    def pause_writing(self) -> None:
        """Hold calls back while the server does not read; they may expire meanwhile."""
        self._writable = False

    def resume_writing(self) -> None:
        """Send what was held back."""
        self._writable = True
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take in frames."""
        self._buffer += data
        now = time.perf_counter()
        for each in http2.split(self._buffer):
            self._take(each, now)
        self._send()

    def _take(self, frame: http2.Frame, now: float) -> None:
        call = self._calls.get(frame.stream)
        if frame.kind == http2.DATA:
            self._account(len(frame.payload))
            if call:
                call.received += len(frame.payload)
        if frame.kind in (http2.DATA, http2.HEADERS):
            if call and frame.flags & http2.END_STREAM:
                self._finish(frame.stream, call, now)
        elif frame.kind == http2.WINDOW_UPDATE and frame.stream == 0:
            self._window += http2.read_window(frame.payload)
        elif frame.kind == http2.SETTINGS and not frame.flags & http2.ACK:
            self._settle(http2.read_settings(frame.payload))
        elif frame.kind == http2.PING and not frame.flags & http2.ACK:
            self._write(http2.frame(http2.PING, http2.ACK, 0, frame.payload))
        elif frame.kind == http2.RST_STREAM and call:
            del self._calls[frame.stream]
            self._tally.lost += 1

    def _finish(self, stream: int, call: _Call, now: float) -> None:
        del self._calls[stream]
        if now - call.due > self._deadline:
            self._tally.expired += 1
            return
        right = call.received == self._answer_bytes
        (self._tally.good if right else self._tally.refused).append(1000 * (now - call.due))

    def _settle(self, settings: http2.Settings) -> None:
        if settings.max_streams is not None:
            self._max_streams = settings.max_streams
        if settings.window is not None and settings.window < self._body_bytes:
            raise ValueError(f"the server's window of {settings.window} bytes is below a request")
        self._write(http2.frame(http2.SETTINGS, http2.ACK, 0))
        if not self.settled.done():
            self.settled.set_result(None)

    def _account(self, size: int) -> None:
        self._received += size
        if self._received > 2**29:
            self._write(http2.window_update(self._received))
            self._received = 0

    def _send(self) -> None:
        while self._waiting and self._transport and self._writable:
            if len(self._calls) >= self._max_streams or self._window < self._body_bytes:
                break
            due, stream = self._waiting.popleft(), self._next_stream
            self._next_stream += 2
            self._window -= self._body_bytes
            self._calls[stream] = _Call(due)
            self._deadlines.append((due + self._deadline, stream))
            self._transport.writelines(self._prepared.frames(stream))
        if not self._transport:
            self._tally.lost += len(self._waiting)
            self._waiting.clear()

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)
