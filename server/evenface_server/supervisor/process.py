"""One worker process, as its supervisor sees it."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final

from evenface_server.models.remote import PREPARE
from evenface_server.models.rollout import WorkerGone
from evenface_server.supervisor.channel import Channel
from evenface_server.supervisor.messages import (
    Answer,
    Ask,
    Connection,
    Failed,
    Message,
    Ready,
    Report,
)

WORKER_MODULE: Final = "evenface_server.worker"
# Connections on their way to a worker at most, so that a slow one leaves the rest to others.
_MAX_ON_THE_WAY: Final = 32
# For the process to end, once it has hung up.
_LAST_SECONDS: Final = 5.0


def start_process(module: str, own: socket.socket) -> subprocess.Popen[bytes]:
    """Start a fresh interpreter that holds one end of a channel.

    Signals meant for the supervisor often go to all processes of its group; the child begins with
    them blocked, so that none hits before it has said what to do about them.
    """
    # -P: modules in the working directory are not ours.
    command = [sys.executable, "-P", "-m", module, str(own.fileno())]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(own.fileno(),))  # noqa: S603 - our own
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class WorkerProcess:
    """Starts when made; ends when its channel closes.

    Args:
        place: Its place among the workers.
        on_message: Gets what it says, after its state here is up to date.
        module: What it runs.

    Attributes:
        place: Its place among the workers.
        pid: Its process id.
        device: Where its models run; empty before it is ready.
        is_serving: Whether it answers on connections.
        failure: Why it cannot start; None where it has not said so.
        exit_code: Once it is gone; the number of the signal that ended it below 0.
        was_killed: Whether we have ended it.
        was_opening: Whether it ended while it opened a bundle beside those that it served.
        turn: When it last got a connection, as a number that grows.
    """

    def __init__(
        self,
        place: int,
        on_message: Callable[["WorkerProcess", Message], None],
        module: str = WORKER_MODULE,
    ) -> None:
        self.place = place
        self.device = ""
        self.is_serving = False
        self.failure: str | None = None
        self.exit_code: int | None = None
        self.was_killed = self.was_opening = False
        self.turn = 0
        self._on_message = on_message
        self._given = self._adopted = self._open = 0
        self._started = self._heard = time.monotonic()
        self._serving_since: float | None = None
        self._gone = asyncio.Event()
        self._numbers = count()
        self._asked: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = start_process(module, theirs)
            except OSError:
                ours.close()
                raise
        self.pid = self._process.pid
        self._channel = Channel(ours, self._hear, self._hang_up)

    @property
    def connections(self) -> int:
        """Connections that it has, those on their way to it included."""
        return self._open + self._given - self._adopted

    @property
    def takes_connections(self) -> bool:
        """Whether it may be given another."""
        return self.is_serving and self._given - self._adopted < _MAX_ON_THE_WAY

    @property
    def served_seconds(self) -> float:
        """For how long it has served."""
        return 0.0 if self._serving_since is None else time.monotonic() - self._serving_since

    @property
    def lived_seconds(self) -> float:
        """For how long it has been there."""
        return time.monotonic() - self._started

    @property
    def silent_seconds(self) -> float:
        """For how long nothing has been heard of it."""
        return time.monotonic() - self._heard

    def serve(self) -> None:
        """Note that it answers on connections from now on."""
        self.is_serving, self._serving_since = True, time.monotonic()

    def forgive_silence(self) -> None:
        """Count silence from now: it was we who did not listen."""
        self._heard = time.monotonic()

    def give(self, connected: socket.socket, turn: int) -> None:
        """Hand over a connected socket."""
        self.turn = turn
        self._given += 1
        self._channel.send(Connection(), connected)

    def send(self, message: Message) -> None:
        """Tell it something."""
        self._channel.send(message)

    async def ask(self, what: str, arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask it to do something; return what it answers.

        Raises:
            WorkerGone: It ended before, or could not do it for a reason that nobody foresaw, which
                its log has; then it is ended, as nobody knows in what state it is.
        """
        if self._gone.is_set():
            raise WorkerGone
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = what, answer
        self._channel.send(Ask(number, what, arguments))
        try:
            return await answer
        finally:
            del self._asked[number]

    def kill(self) -> None:
        """End it at once."""
        self.was_killed = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Wait until it is gone."""
        await self._gone.wait()
        try:
            self.exit_code = await asyncio.to_thread(self._process.wait, _LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self.exit_code = await asyncio.to_thread(self._process.wait)

    def _hear(self, message: Message, attached: socket.socket | None) -> None:
        del attached  # workers send none
        self._heard = time.monotonic()
        if isinstance(message, Report):
            self._adopted, self._open = message.adopted, message.connections
        elif isinstance(message, Ready):
            self.device = message.device
        elif isinstance(message, Failed):
            self.failure = message.reason
        elif isinstance(message, Answer):
            self._take(message)
        self._on_message(self, message)

    def _take(self, answer: Answer) -> None:
        _, asked = self._asked.get(answer.number, ("", None))
        if asked is None or asked.done():
            return
        if answer.error is None:
            asked.set_result(answer.result)
        else:
            asked.set_exception(WorkerGone(answer.error))
            self.kill()

    def _hang_up(self) -> None:
        self._gone.set()
        opening = any(what == PREPARE for what, _ in self._asked.values())
        self.was_opening, self.is_serving = self.is_serving and opening, False
        for _, asked in self._asked.values():
            if not asked.done():
                asked.set_exception(WorkerGone())
