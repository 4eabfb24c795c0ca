"""The workers: each place among them is kept filled, and connections go where the fewest are."""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from evenface_server.models.rollout import WorkerGone
from evenface_server.settings import Settings
from evenface_server.supervisor.keeper import Keeper, Patience
from evenface_server.supervisor.messages import (
    Drain,
    Message,
    Ready,
    Report,
    Start,
    Stop,
    ThinOut,
)
from evenface_server.supervisor.process import WORKER_MODULE, WorkerProcess
from evenface_server.totals import Totals

_LOG = logging.getLogger(__name__)
_UNEVEN: Final = 0.25  # of the mean


class Pool:
    """Keeps workers.

    Args:
        settings: All of them, with the number of workers.
        folder: What processes share; workers remove it where this process no longer can.
        totals: Gets what workers count.
        join: Lets a new worker serve what all serve.
        leave: Told of each worker that is gone.
        on_change: Told when a worker may have begun or ceased to take connections.
        module: What workers run.
        patience: What is put up with.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        totals: Totals,
        *,
        join: Callable[[WorkerProcess], Awaitable[None]],
        leave: Callable[[WorkerProcess], None],
        on_change: Callable[[], None],
        module: str = WORKER_MODULE,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._totals = totals
        self._join = join
        self._leave = leave
        self._on_change = on_change
        self._module = module
        self._patience = patience or Patience()
        self._turn = 0
        self._workers: dict[int, WorkerProcess] = {}
        self._joined: set[int] = set()
        self._joining: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[str] = loop.create_future()
        self._given_up: asyncio.Future[None] = loop.create_future()
        self._keepers = [
            Keeper(place, self._hire, self._dismiss, lambda: bool(self.workers), self._patience)
            for place in range(settings.workers)
        ]
        self._keeping: list[asyncio.Task[None]] = []
        self._watch: asyncio.Task[None] | None = None

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """Those that serve."""
        return [worker for worker in tuple(self._workers.values()) if worker.is_serving]

    @property
    def restarts(self) -> Sequence[int]:
        """How many workers have been replaced, by place."""
        return [keeper.restarts for keeper in self._keepers]

    @property
    def takes_connections(self) -> bool:
        """Whether any worker may be given a connection."""
        return any(worker.takes_connections for worker in self._workers.values())

    async def start(self) -> str:
        """Return once every place has had a worker that serves, with the device of models.

        Raises:
            ConfigError: A worker cannot start with these settings.
            CrashLoop: Workers die.
        """
        self._keeping = [asyncio.create_task(one.keep(self._leaving)) for one in self._keepers]
        for keeping in self._keeping:
            keeping.add_done_callback(self._note_end)
        self._watch = asyncio.create_task(self._watch_over())
        await asyncio.wait((self._started, self._given_up), return_when=asyncio.FIRST_COMPLETED)
        if self._given_up.done():
            self._given_up.result()
        return self._started.result()

    async def given_up(self) -> None:
        """Wait until there are no more replacements.

        Raises:
            CrashLoop: Always.
        """
        await asyncio.shield(self._given_up)

    def give(self, connected: socket.socket) -> None:
        """Hand a connection to the worker with the fewest, silent ones last, else in turn."""
        self._turn += 1
        takers = (worker for worker in self._workers.values() if worker.takes_connections)
        chosen = min(
            takers, key=lambda w: (self._is_silent(w), w.connections, w.turn), default=None
        )
        if chosen is None:
            connected.close()
        else:
            chosen.give(connected, self._turn)
            self._on_change()  # it may have been the last that any of them takes for now

    def drain(self, delay: float, grace: float) -> None:
        """Let workers finish; those that do not serve yet have nothing to finish."""
        self._leaving.set()
        for worker in self._workers.values():
            if worker.is_serving:
                worker.send(Drain(delay, grace))
            else:
                worker.kill()

    def stop(self) -> None:
        """Let workers end at once."""
        self._leaving.set()
        for worker in self._workers.values():
            if worker.is_serving:
                worker.send(Stop())
            else:
                worker.kill()

    def kill(self) -> None:
        """End workers at once."""
        self._leaving.set()
        for worker in self._workers.values():
            worker.kill()

    async def gone(self, seconds: float) -> None:
        """Wait until all workers are gone, for so many seconds at most."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=seconds)
        if self._watch is not None and not self._workers:
            self._watch.cancel()

    def _hire(self, place: int) -> WorkerProcess:
        worker = WorkerProcess(place, self._hear, self._module)
        self._workers[place] = worker
        worker.send(Start(self._settings.model_dump(mode="json"), place, str(self._folder)))
        return worker

    def _dismiss(self, worker: WorkerProcess) -> None:
        del self._workers[worker.place]
        self._leave(worker)
        self._totals.forget(worker)
        self._on_change()

    def _note_end(self, keeping: asyncio.Task[None]) -> None:
        """Give up where a place can be filled no more."""
        error = None if keeping.cancelled() else keeping.exception()
        if error is not None and not self._given_up.done():
            self._given_up.set_exception(error)

    def _hear(self, worker: WorkerProcess, message: Message) -> None:
        if isinstance(message, Report):
            self._totals.add(worker, message.changes)
            self._totals.drift.add(message.latents)
        elif isinstance(message, Ready):
            task = asyncio.create_task(self._welcome(worker))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)
        self._on_change()

    async def _welcome(self, worker: WorkerProcess) -> None:
        """Let a worker serve."""
        try:
            await self._join(worker)
        except WorkerGone:
            return
        except Exception:  # noqa: BLE001 - it is of no use without models
            _LOG.exception("worker cannot serve", extra={"worker": worker.place})
            worker.kill()
            return
        worker.serve()
        if self._started.done():
            extra = {"worker": worker.place, "pid": worker.pid}
            _LOG.info("worker replaced", extra=extra | {"seconds": round(worker.lived_seconds, 3)})
        self._joined.add(worker.place)
        if len(self._joined) == len(self._keepers) and not self._started.done():
            self._started.set_result(worker.device)
        self._on_change()

    def _is_silent(self, worker: WorkerProcess) -> bool:
        return worker.silent_seconds > 2 * self._patience.look_seconds

    def _even_out(self) -> bool:
        """Send peers of busy workers elsewhere where one has far fewer; whether that was so.

        Once a worker has been replaced, the others have the peers that it had.
        """
        counts = {w: w.connections for w in self.workers if not self._is_silent(w)}
        mean = sum(counts.values()) / max(1, len(counts))
        lack = mean - min(counts.values(), default=0)
        if lack < max(1.0, _UNEVEN * mean):
            return False
        for worker, count in counts.items():
            if count > math.ceil(mean):
                worker.send(ThinOut(count - math.ceil(mean)))
        return True

    async def _watch_over(self) -> None:
        """Kill workers that are stuck, and even out their connections."""
        last = even_out_at = time.monotonic()
        while True:
            await asyncio.sleep(self._patience.look_seconds)
            now = time.monotonic()
            if now - last > self._patience.stuck_seconds / 2:  # it was we who did not listen
                for worker in self._workers.values():
                    worker.forgive_silence()
            for worker in self._workers.values():
                is_ready, patience = bool(worker.device), self._patience
                most = patience.stuck_seconds if is_ready else patience.start_seconds
                if worker.silent_seconds > most:
                    extra = {"worker": worker.place, "pid": worker.pid}
                    _LOG.error("worker is stuck", extra=extra)
                    worker.kill()
            if now >= even_out_at and not self._leaving.is_set() and self._even_out():
                even_out_at = now + self._patience.even_out_seconds
            last = now
