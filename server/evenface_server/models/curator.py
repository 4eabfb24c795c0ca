"""Carries through what should be served: follows the model directory, takes operators' orders.

Transport-free, and without models of its own: it opens none.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from evenface_core.errors import BundleError, ConfigError, ModelNotFound, ServiceUnavailable
from evenface_core.signatures import Trust

from evenface_server.models.aside import aside
from evenface_server.models.names import listing
from evenface_server.models.plan import BundleRef, ModelKey, Plan, Traffic
from evenface_server.models.planner import Planner
from evenface_server.models.rollout import Rollout, Worker
from evenface_server.models.status import ModelStatus, State, Status
from evenface_server.models.store import Store
from evenface_server.models.watch import Found, View, Watcher, find

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Curator:
    """Decides on what workers serve.

    Args:
        folder: The model directory.
        default: The setting `default_model`.
        copies: An empty folder for copies of bundles.
        rollout: The workers.
        on_refused: Told of each bundle that cannot be served.
        traffic: Weights to begin with.
        trust: Whose signatures bundles need; None for no signature.
    """

    def __init__(
        self,
        folder: Path,
        default: str | None,
        copies: Path,
        rollout: Rollout,
        on_refused: Callable[[ModelKey], None],
        traffic: Traffic | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._watcher = Watcher(folder)
        self._planner = Planner(default, traffic)
        self._store = Store(copies, trust)
        self._rollout = rollout
        self._on_refused = on_refused
        self._following = asyncio.Lock()  # what reads the directory, which may hang
        self._loading: dict[ModelKey, None] = {}
        self._leaving: dict[int, BundleRef] = {}
        self._orphans: frozenset[ModelKey] = frozenset()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def plan(self) -> Plan:
        """What is served."""
        return self._planner.plan

    async def open(self) -> None:
        """Serve what there is, in the workers that have joined.

        Raises:
            ConfigError: The directory cannot be read, no bundle in it is good, or the default model
                is not among them.
        """
        while True:
            try:
                await self._follow(self._watcher.look_now)
                break
            except ServiceUnavailable as error:  # a bundle has taken the workers down with it
                await asyncio.sleep(error.retry_after)
        if not self.plan.bundles:
            raise ConfigError(
                f"models: {self._watcher.folder}: no usable bundle; they lie in NAME/VERSION/ "
                "below it, and the log says what is wrong with those that were found"
            )

    async def join(self, worker: Worker) -> None:
        """Let a worker that has just started serve the plan.

        Raises:
            BundleError: It cannot open what others serve.
            WorkerGone: It ended.
        """
        async with self._rollout.lock:
            await self._rollout.join(worker, self.plan)

    def leave(self, worker: Worker) -> None:
        """Forget a worker that has ended."""
        self._rollout.leave(worker)

    async def watch(self, seconds: float) -> None:
        """Follow the model directory until cancelled.

        Args:
            seconds: From one look to the next.
        """
        complaint = ""
        while True:
            await asyncio.sleep(seconds)
            before, complaint = complaint, ""
            try:
                await self._follow(self._watcher.look)
            except (ConfigError, ServiceUnavailable) as error:
                complaint = str(error)
                if complaint != before:
                    _LOG.warning("models cannot be followed", extra={"reason": complaint})
            except Exception:  # noqa: BLE001 - the next look may do better, and serving goes on in any case
                _LOG.exception("models cannot be followed")

    async def reload(self) -> None:
        """Follow the directory now, and try again what was refused.

        Raises:
            ConfigError: The directory cannot be read.
            ServiceUnavailable: There is no worker.
        """
        self._planner.retry()
        await self._carry_through(self._follow(self._watcher.look_now))

    async def load(self, key: ModelKey) -> None:
        """Load a version anew from its folder, also one that was unloaded or serves unchanged.

        Raises:
            ModelNotFound: There is no such folder.
            BundleError: The bundle cannot be served; what served before does.
            ServiceUnavailable: There is no worker.
        """
        await self._carry_through(self._load(key))

    async def unload(self, key: ModelKey) -> None:
        """Take a version out; returns once its requests are answered and it is closed everywhere.

        Raises:
            ModelNotFound: It is not served.
            OrderRefused: Nothing else would serve.
        """
        await self._carry_through(self._unload(key))

    async def split(self, name: str, weights: Mapping[str, int]) -> None:
        """Split the requests that name a model, but no version; see `Planner.set_traffic`."""
        await self._carry_through(self._split(name, weights))

    def status(self) -> Status:
        """How things stand now."""
        models = tuple(sorted(self._models(), key=lambda one: (one.key, one.state.value)))
        plan = self.plan
        return Status(plan.number, plan.default, plan.traffic, models, len(self._rollout.workers))

    def _models(self) -> Iterator[ModelStatus]:
        planner = self._planner
        for ref in planner.plan.bundles:
            reason = "its folder is gone" if ref.key in planner.orphans else ""
            yield ModelStatus(ref.key, State.SERVING, reason, ref.digest)
        for ref in self._leaving.values():
            yield ModelStatus(ref.key, State.DRAINING, "", ref.digest)
        for key in self._loading:
            yield ModelStatus(key, State.LOADING)
        for key, reason in planner.refusals.items():
            yield ModelStatus(key, State.REFUSED, reason)
        for key in planner.unloaded:
            yield ModelStatus(key, State.UNLOADED, "an operator has unloaded it")

    async def _carry_through(self, order: Coroutine[Any, Any, T]) -> T:
        """Carry an order through, even when whoever gave it does not wait."""
        return await asyncio.shield(self._spawn(order))

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _follow(self, look: Callable[[], View]) -> None:
        async with self._following:
            view = await aside(look)
            await self._serve(self._planner.see(view))
        if new := sorted(self._planner.orphans - self._orphans):
            _LOG.warning(
                "models whose folders are gone stay", extra={"models": list(map(str, new))}
            )
        self._orphans = self._planner.orphans

    async def _load(self, key: ModelKey) -> None:
        async with self._following:
            found = await aside(find, self._watcher.folder, key)
            if found is None:
                there = await aside(self._watcher.look_now)
                raise ModelNotFound(
                    f"{self._watcher.folder}: no folder {key}; {listing(map(str, there.found))}"
                )
            await self._serve([found], anew=True)
        if key in self._planner.refusals:
            raise BundleError(self._planner.refusals[key])

    async def _unload(self, key: ModelKey) -> None:
        async with self._rollout.lock:
            self._planner.unload(key)
            released = await self._commit({})
        await released

    async def _split(self, name: str, weights: Mapping[str, int]) -> None:
        async with self._rollout.lock:
            self._planner.set_traffic(name, weights)
            await self._commit({})

    async def _serve(self, found: Sequence[Found], *, anew: bool = False) -> None:
        """Load what was found, as far as it is good, and serve the plan that comes of it."""
        self._loading = dict.fromkeys(one.key for one in found)
        try:
            kept = [(one, ref) for one in found if (ref := await self._keep(one)) is not None]
            async with self._rollout.lock:
                loads = await self._prepare(kept, anew=anew)
                self._loading.clear()
                await self._commit(loads, tidy=bool(kept))
        finally:
            self._loading.clear()

    async def _keep(self, found: Found) -> BundleRef | None:
        try:
            return await aside(self._store.keep, found)
        except BundleError as error:
            self._refuse(found, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a bundle makes go wrong, what serves goes on
            _LOG.exception("a bundle cannot be read", extra={"bundle": str(found.path)})
            self._refuse(found, f"{found.path}: {type(error).__name__}: {error}")
        return None

    async def _prepare(
        self, kept: Sequence[tuple[Found, BundleRef]], *, anew: bool
    ) -> dict[ModelKey, BundleRef]:
        """Open copies in all workers; those that are not to serve, or cannot, are dropped."""
        loads: dict[ModelKey, BundleRef] = {}
        dropped = {ref.load: ref for _, ref in kept}
        try:
            for found, ref in kept:
                if not anew and ref.key in self._planner.unloaded:
                    continue  # since its folder was read
                if not anew and self._is_served(ref):
                    self._planner.note(found, None)
                elif (reason := await self._rollout.prepare(ref)) is not None:
                    self._refuse(found, reason)
                else:
                    loads[ref.key] = ref
            for found, ref in kept:
                if ref.key in loads:
                    self._planner.note(found, None)
                    del dropped[ref.load]
        finally:
            for ref in dropped.values():
                await aside(self._store.drop, ref)
        return loads

    def _is_served(self, ref: BundleRef) -> bool:
        served = self._planner.served.get(ref.key)
        return served is not None and served.digest == ref.digest

    def _refuse(self, found: Found, reason: str) -> None:
        self._planner.note(found, reason)
        self._on_refused(found.key)
        _LOG.error("bundle refused", extra={"bundle": str(found.path), "reason": reason})

    async def _commit(
        self, loads: Mapping[ModelKey, BundleRef], *, tidy: bool = False
    ) -> asyncio.Future[None]:
        """Serve the next plan; the future is done once what it takes out is closed.

        Args:
            loads: Newly opened.
            tidy: Whether workers may have opened what is not to serve.
        """
        before, plan = self._planner.served, self._planner.draft(loads)
        if not plan.is_as(self.plan):
            self._adopt(plan)
        elif not tidy:
            return self._spawn(self._release({}))
        await self._rollout.commit(self.plan)
        leaving = {ref.load: ref for ref in before.values() if ref not in plan.bundles}
        self._leaving |= leaving
        return self._spawn(self._release(leaving))

    def _adopt(self, plan: Plan) -> None:
        self._planner.adopt(plan)
        facts = {
            "plan": plan.number,
            "models": [str(ref.key) for ref in plan.bundles],
            "default_model": plan.default,
            "traffic": plan.traffic,
        }
        _LOG.info("models changed", extra=facts)

    async def _release(self, leaving: Mapping[int, BundleRef]) -> None:
        await self._rollout.released(leaving.keys())
        for load, ref in leaving.items():
            del self._leaving[load]
            await aside(self._store.drop, ref)
