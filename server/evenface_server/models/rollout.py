"""Plans to workers: opened in all of them beside what serves, then swapped. Transport-free.

One worker opens a bundle before the others: if it takes the process down with it, the others go on,
and it is tried once more when another process has taken the place.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol, TypeVar

from evenface_core.errors import BundleError, ServiceUnavailable

from evenface_server.models.plan import BundleRef, Plan

_LOG = logging.getLogger(__name__)
_MAX_DEATHS: Final = 2
_RETRY_AFTER: Final = 1.0
_OPENING_SECONDS: Final = 600.0

T = TypeVar("T")


class WorkerGone(Exception):
    """A worker ended before it answered."""


class Worker(Protocol):
    """A worker process, as far as models go. Every method may raise WorkerGone."""

    async def prepare(self, ref: BundleRef) -> str | None:
        """Open a bundle beside what serves; why it cannot be served, or None."""

    async def commit(self, plan: Plan) -> None:
        """Serve a plan whose bundles are all open."""

    async def released(self, loads: Collection[int]) -> None:
        """Wait until bundles that serve no more are closed."""


class Rollout:
    """The workers that serve the plan. One thing at a time: callers hold `lock`.

    Args:
        patience: Seconds that a bundle may take to open.

    Attributes:
        lock: Held while bundles are opened and swapped.
        workers: Those that serve the plan.
    """

    def __init__(self, patience: float = _OPENING_SECONDS) -> None:
        self.lock = asyncio.Lock()
        self.workers: list[Worker] = []
        self._patience = patience
        self._deaths: Counter[str] = Counter()
        self._is_short = False  # of a worker that a bundle has taken down

    async def join(self, worker: Worker, plan: Plan) -> None:
        """Let a worker that serves nothing yet serve the plan.

        Raises:
            BundleError: It cannot open what others serve.
            WorkerGone: It ended.
        """
        for ref in plan.bundles:
            if (reason := await self._open(worker, ref)) is not None:
                raise BundleError(reason)
        await worker.commit(plan)
        self.workers.append(worker)
        self._is_short = False

    def leave(self, worker: Worker) -> None:
        """Forget a worker that is gone."""
        if worker in self.workers:
            self.workers.remove(worker)

    async def prepare(self, ref: BundleRef) -> str | None:
        """Open a bundle in all workers.

        Returns:
            Why one cannot, or None.

        Raises:
            ServiceUnavailable: There is no worker, one that a bundle has ended is not replaced yet,
                or the first to open this one ended; try again.
        """
        if not self.workers:
            raise ServiceUnavailable("no worker process is there yet", retry_after=_RETRY_AFTER)
        if self._is_short:  # else a few bad bundles would leave nobody to serve
            raise ServiceUnavailable(
                "no worker process is there yet in the place of one that has ended",
                retry_after=_RETRY_AFTER,
            )
        *others, youngest = self.workers  # which has the fewest callers to lose
        reason = await self._try(youngest, ref)
        if reason is None:
            rest = await self._everywhere(lambda worker: self._open(worker, ref), others)
            reason = next((reason for reason in rest if reason is not None), None)
        return reason

    async def commit(self, plan: Plan) -> None:
        """Swap in all workers."""
        await self._everywhere(lambda worker: worker.commit(plan), self.workers)

    async def released(self, loads: Collection[int]) -> None:
        """Wait until bundles that serve no more are closed in all workers."""
        await self._everywhere(lambda worker: worker.released(loads), self.workers)

    async def _try(self, worker: Worker, ref: BundleRef) -> str | None:
        try:
            reason = await self._open(worker, ref)
        except WorkerGone as error:
            self.leave(worker)
            self._is_short = True
            self._deaths[ref.digest] += 1
            if self._deaths[ref.digest] < _MAX_DEATHS:
                raise ServiceUnavailable(
                    f"{ref.source}: a worker process ended while it opened this; it is tried again",
                    retry_after=_RETRY_AFTER,
                ) from error
            reason = f"{ref.source}: worker processes end while they open it"
        del self._deaths[ref.digest]
        return reason

    async def _open(self, worker: Worker, ref: BundleRef) -> str | None:
        try:
            async with asyncio.timeout(self._patience):
                return await worker.prepare(ref)
        except TimeoutError:
            return f"{ref.source}: not open after {self._patience:g} s"

    async def _everywhere(
        self, ask: Callable[[Worker], Awaitable[T]], workers: Collection[Worker]
    ) -> list[T]:
        """Ask workers at once; the answers of those that gave one before they ended."""
        answers = []

        async def one(worker: Worker) -> None:
            try:
                answers.append(await ask(worker))
            except WorkerGone:
                self.leave(worker)

        await asyncio.gather(*map(one, list(workers)))
        return answers
