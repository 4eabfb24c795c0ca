"""One worker process: answers on the connections that its supervisor hands it.

`python -m evenface_server.worker DESCRIPTOR`, its end of the channel; the rest comes over that.
"""

import asyncio
import gc
import logging
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop
from evenface_core.cli import one_line
from evenface_core.errors import EvenfaceError

from evenface_server.drift import Counts
from evenface_server.instruments import Changes
from evenface_server.logs import configure_logging
from evenface_server.metrics import Metrics
from evenface_server.models.remote import PREPARE, carry_out
from evenface_server.settings import Settings
from evenface_server.supervisor.channel import Channel
from evenface_server.supervisor.messages import (
    Answer,
    Ask,
    Connection,
    Drain,
    Failed,
    Message,
    Ready,
    Report,
    Start,
    Stop,
    ThinOut,
)

if TYPE_CHECKING:
    from evenface_server.app import App
    from evenface_server.models.loader import Loader

_LOG = logging.getLogger(__name__)
EXIT_UNFINISHED: Final = 1
EXIT_CONFIG: Final = 2
# Connections come and go unreported for so long at most; numbers that were counted, for so long.
_LOOK_SECONDS: Final = 0.05
_LOSSES_SECONDS: Final = 0.002
_REPORT_SECONDS: Final = 0.25
_LATENTS_SECONDS: Final = 1.0
_UNREPORTED: Final = 8
_FLUSH_SECONDS: Final = 1.0
# To end by itself once its supervisor is gone, besides the grace of its requests.
_CLOSING_SECONDS: Final = 10.0
# That have come and not gone before garbage is collected; a call that waits has some 30.
_COLLECTED_OBJECTS: Final = 10_000


class Worker:
    """Does what its supervisor says, and ends with it.

    Args:
        own: Its end of the channel.
    """

    def __init__(self, own: socket.socket) -> None:
        self._channel = Channel(own, self._hear, self._on_supervisor_gone)
        self._metrics = Metrics()
        self._app: App | None = None
        self._grace = 0.0
        self._folder = ""
        self._adopted = self._arriving = 0
        self._reported = 0, 0
        self._has_losses = False
        self._reported_at = self._latents_at = 0.0
        self._ending: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def patience(self) -> float:
        """Seconds that it may take to end by itself once its supervisor is gone."""
        return 0.0 if self._app is None else self._grace + _CLOSING_SECONDS

    @property
    def _connections(self) -> int:
        return self._arriving + (0 if self._app is None else self._app.connections)

    async def run(self) -> int:
        """Work until told to end; the exit code."""
        code = await self._ended
        self._channel.send(self._report())
        self._channel.flush(_FLUSH_SECONDS)
        return code

    def _hear(self, message: Message, attached: socket.socket | None) -> None:
        match message:
            case Start(settings, place, folder):
                self._folder = folder
                self._start(settings, place)
            case Connection():
                self._adopt(attached)
            case Ask() if self._app is not None:
                self._spawn(self._answer(self._app.loader, message))
            case ThinOut(count) if self._app is not None:
                self._app.thin_out(count)
            case Drain(delay, grace):
                self._end(self._drain(delay, grace))
            case Stop():
                self._end(self._stop())

    def _start(self, values: Mapping[str, Any], place: int) -> None:
        settings = Settings.model_validate(values)
        log = configure_logging(settings.log_level, worker=place)
        try:
            # Loads what takes long: by now this process knows what to do about signals.
            from evenface_server.app import open_app  # noqa: PLC0415

            app = open_app(settings, self._metrics, log, Path(self._folder), on_lost=self._on_lost)
        except (EvenfaceError, OSError) as error:
            self._give_up(one_line(error))
            return
        except Exception as error:  # noqa: BLE001 - it would be neither ready nor gone for ever
            _LOG.exception("worker cannot start")
            self._give_up(f"{type(error).__name__}: {one_line(error)}")
            return
        self._app, self._grace = app, settings.drain_grace
        self._channel.send(Ready(app.device))
        self._spawn(self._report_on_and_on())

    def _give_up(self, reason: str) -> None:
        self._channel.send(Failed(reason))
        self._finish(EXIT_CONFIG)

    def _adopt(self, connected: socket.socket | None) -> None:
        self._adopted += 1
        if self._app is not None and connected is not None:
            self._arriving += 1
            self._spawn(self._begin(self._app, connected))
        if self._adopted - self._reported[0] >= _UNREPORTED:
            self._send_report()

    async def _begin(self, app: "App", connected: socket.socket) -> None:
        try:
            await app.adopt(connected)
        finally:
            self._arriving -= 1

    def _on_lost(self) -> None:
        """Tell the supervisor soon: peers who have left often come again at once, in numbers."""
        if not self._has_losses:
            self._has_losses = True
            asyncio.get_running_loop().call_later(_LOSSES_SECONDS, self._report_losses)

    def _report_losses(self) -> None:
        self._has_losses = False
        self._send_report()

    async def _answer(self, loader: "Loader", ask: Ask) -> None:
        try:
            answer = Answer(ask.number, await carry_out(loader, ask.what, ask.arguments))
            if ask.what != PREPARE:
                _settle()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for the supervisor
            _LOG.exception("cannot do what the supervisor asks for", extra={"what": ask.what})
            answer = Answer(ask.number, error=f"{type(error).__name__}: {error}")
        self._channel.send(answer)

    async def _report_on_and_on(self) -> None:
        """Tell the supervisor that this event loop is alive, and what it has counted."""
        while True:
            is_due = time.monotonic() - self._reported_at >= _REPORT_SECONDS
            if is_due or self._reported != (self._adopted, self._connections):
                self._send_report()
            await asyncio.sleep(_LOOK_SECONDS)

    def _send_report(self) -> None:
        if not self._channel.is_behind:
            self._channel.send(self._report())

    def _report(self) -> Report:
        changes: Changes = {}
        latents: list[Counts] = []
        now = time.monotonic()
        is_last = self._ended.done()
        if now - self._reported_at >= _REPORT_SECONDS or is_last:
            if self._app is not None:
                self._metrics.held(self._app.held_bytes)
                self._metrics.certificates()
            changes, self._reported_at = self._metrics.instruments.take(), now
        if self._app is not None and (now - self._latents_at >= _LATENTS_SECONDS or is_last):
            latents, self._latents_at = self._app.engine.latents.take(), now
        self._reported = self._adopted, self._connections
        return Report(*self._reported, changes, latents)

    def _on_supervisor_gone(self) -> None:
        if self._app is None:
            self._finish(EXIT_UNFINISHED)
        elif self._ending is None:
            _LOG.error("the supervisor is gone")
            shutil.rmtree(self._folder, ignore_errors=True)
            self._end(self._drain(0.0, self._grace))

    def _end(self, work: Coroutine[None, None, None]) -> None:
        """Begin to end, or go over to a quicker way of ending."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.create_task(work)

    async def _drain(self, delay: float, grace: float) -> None:
        finished = self._app is None or await self._app.drain(delay, grace)
        self._finish(0 if finished else EXIT_UNFINISHED)

    async def _stop(self) -> None:
        if self._app is not None:
            await self._app.stop()
        self._finish(EXIT_UNFINISHED)

    def _finish(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settle() -> None:
    """Spare the garbage collector what is there to stay, the first time that models are.

    Calls leave it next to nothing: it comes by more seldom, too.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECTED_OBJECTS)


def main() -> None:
    """Run a worker, then end this process."""
    # The supervisor alone decides when workers end; it gets the same signals where a group does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    own = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(own))
        logging.shutdown()
        # A session's run cannot be interrupted, and Python would wait for its thread.
        os._exit(code)


async def _run(own: socket.socket) -> int:
    worker = Worker(own)
    arguments = (own.fileno(), lambda: worker.patience)
    threading.Thread(target=_end_with_supervisor, args=arguments, daemon=True).start()
    return await worker.run()


def _end_with_supervisor(descriptor: int, patience: Callable[[], float]) -> None:
    """Wait until the supervisor is gone; then see to it that this process ends, loop or no loop."""
    poll = select.poll()
    poll.register(descriptor, 0)  # the end of the channel is reported in any case
    poll.poll()
    time.sleep(patience())
    os._exit(EXIT_UNFINISHED)


if __name__ == "__main__":
    main()
