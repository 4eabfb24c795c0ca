"""One connection: HTTP/2 (RFC 9113) as far as gRPC needs it, from the greeting to the last word.

Whatever breaks the rules of the connection closes it; what breaks those of a stream ends that one.
"""

import asyncio
import logging
from typing import Any, Final, cast

from evenface_transport import frames, payloads
from evenface_transport.call import Peer
from evenface_transport.calls import Calls
from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.host import Host
from evenface_transport.incoming import GAIN, LAST_PING, WINDOW, Incoming
from evenface_transport.lifetime import Lifetime, Step
from evenface_transport.outbox import Outbox
from evenface_transport.patience import Patience
from evenface_transport.reader import DATA_FRAME_BYTES
from evenface_transport.status import Code, StatusError
from evenface_transport.stream import RECEIVE_WINDOW, Stream

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.5


class Connection(asyncio.BufferedProtocol):
    """Speaks HTTP/2 with one peer.

    Args:
        host: The server.
        max_age: Seconds after which the peer is asked to connect anew.
    """

    _transport: asyncio.Transport
    _outbox: Outbox
    _calls: Calls
    _incoming: Incoming

    def __init__(self, host: Host, max_age: float) -> None:
        self._host = host
        self._life = Lifetime(host.limits, max_age)
        self._patience = Patience()
        self._look_at = 0.0
        self._is_over = False

    @property
    def has_left(self) -> bool:
        """Whether the peer was told which calls are the last, or is told nothing any more."""
        return self._life.has_left or self._is_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are, without deriving from it
        host, limits = self._host, self._host.limits
        self._transport = transport
        self._outbox = Outbox(transport, self._patience, self._on_sent, self._on_stuck)
        self._calls = Calls(host, self._outbox, _peer(transport))
        self._incoming = Incoming(
            host,
            self._calls,
            self._outbox,
            self._life,
            self._patience,
            self._end_if_done,
        )
        self._outbox.write(
            frames.settings({
                frames.SETTINGS_MAX_CONCURRENT_STREAMS: limits.max_streams,
                frames.SETTINGS_INITIAL_WINDOW_SIZE: RECEIVE_WINDOW,
                frames.SETTINGS_MAX_FRAME_SIZE: DATA_FRAME_BYTES,
                frames.SETTINGS_MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
            })
            + frames.window_update(0, WINDOW - frames.DEFAULT_WINDOW)
        )  # fmt: skip
        host.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Drop all calls."""
        del error
        self._stop()
        self._host.lost(self)

    def pause_writing(self) -> None:
        """The peer's network is behind."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """The peer's network has caught up."""
        self._outbox.resume()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where bytes off the network go."""
        del sizehint
        return self._incoming.reader.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes off the network."""
        if self._is_over:
            return
        self._life.hear()
        try:
            self._incoming.reader.take(nbytes)
        except ProtocolError as error:
            self._abort(error.code, str(error))

    def leave(self, grace: float | None = None) -> None:
        """Ask the peer to connect anew; end once its calls are answered.

        Args:
            grace: Seconds that they get for that; None for those of the limits.
        """
        if not self._life.is_leaving and not self._is_over:
            self._life.leave(grace)
            self._outbox.write(
                frames.goaway(frames.STREAM_MASK, ErrorCode.NO_ERROR)
                + frames.frame(frames.PING, 0, 0, LAST_PING)
            )

    def refuse(self, error: StatusError) -> None:
        """End the calls that are still at work, and the connection."""
        self._calls.refuse_all(error)
        self._abort(ErrorCode.NO_ERROR, "")

    def hang_up(self) -> None:
        """End the connection without a word."""
        self._stop()
        self._transport.abort()

    def tick(self, now: float) -> None:
        """Look after time: deadlines, silence, idleness and age."""
        if self._is_over:
            self._fall_silent()
        self._calls.tick(now)
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._calls.check_pace(now)
            is_greeted, is_busy = self._incoming.reader.is_greeted, bool(self._calls.streams)
            step = self._life.next_step(now, is_greeted=is_greeted, is_busy=is_busy)
            if step is not None:
                self._do(step, now)

    def _do(self, step: Step, now: float) -> None:
        if step is Step.PING:
            self._life.ping(now)
            self._outbox.write(frames.frame(frames.PING, 0, 0, b"\0" * payloads.PING_BYTES))
        elif step is Step.LEAVE:
            self.leave()
        elif step is Step.TAKE_LEAVE:
            self._incoming.take_leave()
        elif step is Step.REFUSE:
            self.refuse(StatusError(Code.UNAVAILABLE, "the connection is too old"))
        else:
            self.hang_up()

    def _on_sent(self, stream: Stream) -> None:
        self._calls.part(stream, self._life.heard)
        self._patience.earn(GAIN)
        self._life.used = self._life.heard
        self._end_if_done()

    def _on_stuck(self) -> None:
        self._abort(ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read")

    def _abort(self, code: ErrorCode, problem: str) -> None:
        """End at once, saying why."""
        if not self._is_over:
            _LOG.debug("connection closed: %s", problem or code.name)
            self._outbox.write(frames.goaway(self._incoming.last_taken, code, problem))
            self._end()

    def _end_if_done(self) -> None:
        if self._life.has_left and not self._calls.streams and not self._is_over:
            self._end()

    def _end(self) -> None:
        """Say no more, and hang up once the peer has.

        What was said last is lost if we hang up while the peer still talks (RFC 9112, section 9.6).
        """
        self._stop()
        self._life.end()
        self._fall_silent()

    def _fall_silent(self) -> None:
        """Tell the peer that nothing more comes, once all has gone out."""
        transport = self._transport
        if transport.is_closing() or transport.get_write_buffer_size():
            return
        try:
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()
        except OSError:  # the peer was faster
            transport.abort()

    def _stop(self) -> None:
        self._is_over = self._incoming.reader.is_stopped = True
        self._outbox.close()
        self._calls.drop_all()


def _peer(transport: asyncio.Transport) -> Peer:
    tls: Any = transport.get_extra_info("ssl_object")
    address = transport.get_extra_info("peername")
    shown = str(address)
    if isinstance(address, tuple):
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        shown = f"{host}:{address[1]}"
    return Peer(shown, (tls.getpeercert() or None) if tls is not None else None)
