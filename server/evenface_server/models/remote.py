"""A loader in another process: what is asked there, and how it is answered here. Transport-free."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from typing import Any, Final

from evenface_server.models.plan import BundleRef, Plan
from evenface_server.models.rollout import Worker

PREPARE: Final = "models.prepare"

# Asks the other process to do something: what, and its arguments as JSON; the answer as JSON.
Ask = Callable[[str, Any], Awaitable[Any]]


class RemoteLoader:
    """The loader of a worker process, as a curator needs it.

    Args:
        ask: Raises WorkerGone where that process ends before it answers.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def prepare(self, ref: BundleRef) -> str | None:
        """As `Loader.prepare`."""
        reason: str | None = await self._ask(PREPARE, asdict(ref))
        return reason

    async def commit(self, plan: Plan) -> None:
        """As `Loader.commit`."""
        await self._ask("models.commit", plan.to_json())

    async def released(self, loads: Collection[int]) -> None:
        """As `Loader.released`."""
        await self._ask("models.released", list(loads))


async def carry_out(loader: Worker, what: str, arguments: Any) -> Any:  # noqa: ANN401 - JSON
    """Do what a `RemoteLoader` asks for; return the answer."""
    match what:
        case what if what == PREPARE:
            return await loader.prepare(BundleRef(**arguments))
        case "models.commit":
            await loader.commit(Plan.from_json(arguments))
        case "models.released":
            await loader.released(arguments)
        case _:
            raise ValueError(f"'{what}' is nothing that a loader does")
    return None
