"""A curator and the workers it looks after, in this process."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evenface_server.app import App, open_app
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.models.loader import Loader
from evenface_server.models.plan import BundleRef, ModelKey, Plan
from evenface_server.models.rollout import Rollout, WorkerGone
from evenface_server.models.status import State
from evenface_server.settings import Settings


class Worker:
    """Does what its loader does, until it is told to die, to hang or to refuse.

    Attributes:
        dies_on: The version at whose opening it ends.
        hangs: Whether it never opens anything.
        refuses: The version that it says it cannot open.
        opened: What it has been asked to open.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._gone = False
        self.dies_on: ModelKey | None = None
        self.hangs = False
        self.refuses: ModelKey | None = None
        self.opened: list[ModelKey] = []

    async def prepare(self, ref: BundleRef) -> str | None:
        self.opened.append(ref.key)
        if self.hangs:
            await asyncio.Event().wait()
        self._gone |= ref.key == self.dies_on
        self._check()
        return "no" if ref.key == self.refuses else await self._loader.prepare(ref)

    async def commit(self, plan: Plan) -> None:
        self._check()
        await self._loader.commit(plan)

    async def released(self, loads: Collection[int]) -> None:
        self._check()
        await self._loader.released(loads)

    def _check(self) -> None:
        if self._gone:
            raise WorkerGone


@dataclass
class Bench:
    """Workers, and what has been made of the bundles.

    Attributes:
        models: The model directory.
        copies: Where copies are kept.
        curator: In charge.
        apps: One for each worker.
        workers: That have joined.
        refused: What could not be served, in order.
    """

    models: Path
    copies: Path
    curator: Curator
    apps: Sequence[App]
    workers: Sequence[Worker]
    refused: list[ModelKey] = field(default_factory=list)

    def served(self) -> list[str]:
        """What all workers serve, as "name/version"."""
        (same,) = {
            tuple(str(ModelKey(m.manifest.name, m.manifest.version)) for m in app.engine.registry)
            for app in self.apps
        }
        return list(same)

    def states(self) -> list[tuple[str, State]]:
        """How things stand."""
        return [(str(one.key), one.state) for one in self.curator.status().models]


@asynccontextmanager
async def curated(
    root: Path, *, workers: int = 2, default: str | None = None, patience: float = 60.0
) -> AsyncIterator[Bench]:
    """Workers that have joined a curator of `root/models`, which has not opened it yet."""
    models, copies = root / "models", root / "copies"
    models.mkdir(parents=True, exist_ok=True)
    copies.mkdir()
    settings = Settings.model_validate({"models": models, "session_threads": 1, "device": "cpu"})
    apps = [open_app(settings, Metrics(), CallLog(None)) for _ in range(workers)]
    refused: list[ModelKey] = []
    curator = Curator(models, default, copies, Rollout(patience), refused.append)
    bench = Bench(models, copies, curator, apps, [Worker(app.loader) for app in apps], refused)
    for worker in bench.workers:
        await curator.join(worker)
    try:
        yield bench
    finally:
        for app in apps:
            await app.stop()
