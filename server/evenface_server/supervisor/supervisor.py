"""The parent process: listens, and shows the metrics of all its workers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from evenface_core.errors import ConfigError
from evenface_core.signatures import Trust

from evenface_server.listening import Listener
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.models.remote import RemoteLoader
from evenface_server.models.rollout import Rollout
from evenface_server.settings import Settings
from evenface_server.supervisor.cores import settle
from evenface_server.supervisor.exposition import Exposition, Staff
from evenface_server.supervisor.keeper import Patience
from evenface_server.supervisor.pool import Pool
from evenface_server.supervisor.process import WORKER_MODULE, WorkerProcess
from evenface_server.totals import Totals

# For workers to end by themselves: once told to do so at once, and after their grace.
_STOP_SECONDS: Final = 2.0
_CLOSING_SECONDS: Final = 10.0
_COUNT_SECONDS: Final = 1.0


class SideServer(Protocol):
    """Something that listens besides, for operators."""

    @property
    def address(self) -> str:
        """Where it listens, "host:port"."""

    def open(self) -> None:
        """Begin to answer."""

    async def close(self) -> None:
        """Answer no more."""


MakeAdmin = Callable[[Curator, Metrics], SideServer]
MakeProbes = Callable[[Callable[[], bool]], SideServer]


@dataclass(frozen=True)
class Serving:
    """What a supervisor says once it listens.

    Attributes:
        address: "host:port" of gRPC.
        metrics_address: "host:port" of the metrics; None where they are off.
        admin_address: "host:port" of the admin service; None where it is off.
        health_address: "host:port" of health alone; None where it is off.
        device: Where models run.
        models: Those that serve, "name/version" each.
        default_model: For requests that name none; None where they must.
        workers: How many there are.
    """

    address: str
    metrics_address: str | None
    admin_address: str | None
    health_address: str | None
    device: str
    models: Sequence[str]
    default_model: str | None
    workers: int


class Supervisor:
    """Takes its addresses when made; starts its workers and listens once it is told to.

    Args:
        settings: All of them.
        folder: An empty one, for what processes share.
        make_admin: Makes the admin service of what decides on the models; None for none.
        make_probes: Makes health on a port of its own of whether this is ready; None for none.
        module: What workers run.
        patience: What is put up with from them.

    Raises:
        ConfigError: An address cannot be used.

    Attributes:
        pool: The workers.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        make_admin: MakeAdmin | None = None,
        make_probes: MakeProbes | None = None,
        module: str = WORKER_MODULE,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settle(settings)
        self._metrics = Metrics()
        self._totals = Totals(self._metrics.instruments)
        copies = folder / "bundles"
        copies.mkdir()
        self._curator = Curator(
            settings.models,
            settings.default_model,
            copies,
            Rollout(),
            self._metrics.refused,
            settings.traffic_weights,
            _trust(settings),
        )
        self._loaders: dict[WorkerProcess, RemoteLoader] = {}
        self.pool = Pool(
            self._settings,
            folder,
            self._totals,
            join=self._join,
            leave=self._leave,
            on_change=self._regulate,
            module=module,
            patience=patience,
        )
        self._listener = Listener("port", settings.host, settings.port, self.pool.give)
        self._counting = asyncio.create_task(self._count())
        self._watching: asyncio.Task[None] | None = None
        self._takes_requests = False
        try:
            self._exposition = self._expose()
            self._admin = None if make_admin is None else make_admin(self._curator, self._metrics)
            self._probes = None if make_probes is None else make_probes(self._is_ready)
        except ConfigError:
            self._listener.close()
            raise

    async def listen(self) -> Serving:
        """Start the workers, open the models, and accept connections.

        Raises:
            ConfigError: The device, the models, the certificates or an address cannot be used.
            CrashLoop: Workers die.
        """
        if self._probes is not None:
            self._probes.open()
        device = await self.pool.start()
        await self._open_models()
        self._listener.open()
        if self._admin is not None:
            self._admin.open()
        if self._settings.watch_interval:
            watching = self._curator.watch(self._settings.watch_interval)
            self._watching = asyncio.create_task(watching)
        self._takes_requests = True
        plan = self._curator.plan
        return Serving(
            self._listener.address,
            None if self._exposition is None else self._exposition.address,
            None if self._admin is None else self._admin.address,
            None if self._probes is None else self._probes.address,
            device,
            [str(ref.key) for ref in plan.bundles],
            plan.default,
            self._settings.workers,
        )

    async def _open_models(self) -> None:
        """Wait until models serve, for as long as there are workers to open them."""
        opening = asyncio.create_task(self._curator.open())
        giving_up = asyncio.create_task(self.pool.given_up())
        try:
            await asyncio.wait((opening, giving_up), return_when=asyncio.FIRST_COMPLETED)
            (opening if opening.done() else giving_up).result()
        finally:
            opening.cancel()
            giving_up.cancel()

    async def given_up(self) -> None:
        """Wait until workers that die are not replaced any more.

        Raises:
            CrashLoop: Always.
        """
        await self.pool.given_up()

    async def drain(self, delay: float, grace: float) -> bool:
        """Stop without losing a request that was admitted.

        Args:
            delay: Seconds until new requests are refused; connections are still accepted.
            grace: Seconds for admitted requests.

        Returns:
            Whether all workers have answered all that they had admitted.
        """
        self._takes_requests = False
        await self._settle()
        draining = self.pool.workers
        wait = delay if self._listener.is_open else 0.0
        self.pool.drain(wait, grace)
        await self.pool.gone(wait)
        self._listener.close()
        await self.pool.gone(grace + _CLOSING_SECONDS)
        await self.stop()
        return all(worker.exit_code == 0 for worker in draining)

    async def stop(self) -> None:
        """End everything at once."""
        self._listener.close()
        self._counting.cancel()
        await self._settle()
        self.pool.stop()
        await self.pool.gone(_STOP_SECONDS)
        self.pool.kill()
        await self.pool.gone(_CLOSING_SECONDS)
        if self._probes is not None:
            await self._probes.close()
        if self._exposition is not None:
            await self._exposition.close()

    def _expose(self) -> Exposition | None:
        if not self._settings.metrics:
            return None
        host, port = self._settings.metrics_host, self._settings.metrics_port
        return Exposition(host, port, (self._totals, Staff(self.pool)))

    def _is_ready(self) -> bool:
        """Whether models serve, and workers take requests: for probes."""
        return self._takes_requests and bool(self.pool.workers)

    async def _join(self, worker: WorkerProcess) -> None:
        self._loaders[worker] = RemoteLoader(worker.ask)
        await self._curator.join(self._loaders[worker])

    def _leave(self, worker: WorkerProcess) -> None:
        if worker in self._loaders:
            self._curator.leave(self._loaders.pop(worker))

    async def _settle(self) -> None:
        """Let nothing change any more in what is served."""
        if self._watching is not None:
            self._watching.cancel()
        if self._admin is not None:
            await self._admin.close()

    async def _count(self) -> None:
        """Show what is counted in this process, as what workers count."""
        while True:
            self._totals.add(self, self._metrics.instruments.take())
            await asyncio.sleep(_COUNT_SECONDS)

    def _regulate(self) -> None:
        """Let connections wait with the system while there is no worker for them."""
        if self.pool.takes_connections:
            self._listener.resume()
        else:
            self._listener.pause()


def _trust(settings: Settings) -> Trust | None:
    """Whose signatures bundles need, where they need any."""
    if settings.require_signature is None:
        return None
    trust = Trust(settings.require_signature)
    trust.require()
    return trust
