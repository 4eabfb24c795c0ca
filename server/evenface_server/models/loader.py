"""What a worker does about plans: opens bundles beside those that serve, swaps, lets go of the old.

Transport-free.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from evenface_core.errors import BundleError, ConfigError
from evenface_runtime import Model

from evenface_server.models.memory import give_back
from evenface_server.models.plan import BundleRef, Plan
from evenface_server.models.registry import Registry, ServedModel

_LOG = logging.getLogger(__name__)


class Loader:
    """Carries plans out, for one registry.

    Args:
        registry: What requests are answered from.
        open_model: Opens the bundle in a folder and warms it up; returns the model and its card.
            Called in a thread.
        serve: Makes the model ready for requests. Called on the event loop.
        on_swap: Told whenever other models serve.
    """

    def __init__(
        self,
        registry: Registry,
        open_model: Callable[[Path], tuple[Model, str]],
        serve: Callable[[Model, str], ServedModel],
        on_swap: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._open_model = open_model
        self._serve = serve
        self._on_swap = on_swap
        self._opened: dict[int, tuple[Model, str]] = {}
        self._serving: dict[int, ServedModel] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}

    async def prepare(self, ref: BundleRef) -> str | None:
        """Open a bundle and warm it up; nothing else changes.

        Returns:
            Why it cannot be served; None where it can.
        """
        try:
            self._opened[ref.load] = await asyncio.to_thread(self._open_model, Path(ref.path))
        except (BundleError, ConfigError) as error:
            return str(error).replace(ref.path, ref.source)
        except Exception as error:  # noqa: BLE001 - whatever a bundle makes go wrong, what serves goes on
            _LOG.exception("a bundle cannot be opened", extra={"bundle": ref.source})
            return f"{ref.source}: {type(error).__name__}: {error}"
        return None

    async def commit(self, plan: Plan) -> None:
        """Serve what a plan names from the next request on; let go of all else.

        Args:
            plan: Of bundles that serve or have been prepared.
        """
        before = self._serving
        self._serving = {ref.load: self._take(ref, before) for ref in plan.bundles}
        self._opened.clear()
        self._registry.swap(self._serving.values(), plan.default, plan.traffic)
        self._on_swap()
        for load in before.keys() - self._serving.keys():
            self._leaving[load] = asyncio.create_task(self._let_go(load, before[load]))

    async def released(self, loads: Collection[int]) -> None:
        """Wait until what no longer serves has answered its requests and is closed."""
        if leaving := [self._leaving[load] for load in loads if load in self._leaving]:
            await asyncio.wait(leaving)

    def _take(self, ref: BundleRef, before: dict[int, ServedModel]) -> ServedModel:
        return before[ref.load] if ref.load in before else self._serve(*self._opened[ref.load])

    async def _let_go(self, load: int, served: ServedModel) -> None:
        manifest, last = served.manifest, [served]
        try:
            await served.idle()
        finally:
            served.stop()
            del served
            await asyncio.to_thread(_close, last)
            del self._leaving[load]
        _LOG.info("model released", extra={"model": f"{manifest.name}/{manifest.version}"})


def _close(last: list[ServedModel]) -> None:
    """Let go of the last reference to a model, which closes its sessions, and of its memory."""
    last.clear()
    give_back()
