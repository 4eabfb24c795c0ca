"""Folders that are being encoded: begun, looked after, cancelled."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evenface_studio import problems
from evenface_studio.dataset.encoding import Progress
from evenface_studio.dataset.shown import DataSet
from evenface_studio.problems import StudioError

_LOG = logging.getLogger(__name__)

MOST_AT_ONCE = 2
_KEPT = 50
_FORGOTTEN_SECONDS = 300.0  # of nobody asking; browsers slow pages in the background down to 60

Work = Callable[[Progress], Awaitable[DataSet]]


@dataclass
class Run:
    """One folder on its way.

    Attributes:
        progress: How far it is.
        asked: When somebody last asked for it, by the loop's clock.
        server: The service's address, for errors.
        task: What works on it.
    """

    progress: Progress
    asked: float
    server: str
    task: "asyncio.Task[DataSet]" = field(repr=False)

    def told(self) -> Mapping[str, Any]:
        """How things stand, ready for JSON."""
        state: dict[str, Any] = {"state": "running", "progress": asdict(self.progress)}
        if self.task.cancelled():
            state["state"] = "cancelled"
        elif self.task.done() and (error := self.task.exception()) is not None:
            problem = (
                problems.of_error(error, self.server) if isinstance(error, Exception) else None
            )
            told = problem or problems.unforeseen()
            state |= {"state": "failed", "error": {key: getattr(told, key) for key in _TOLD}}
        elif self.task.done():
            state |= {"state": "done", "key": self.task.result().key}
        return state


_TOLD = ("kind", "title", "detail", "hint")


class Runs:
    """All runs of the studio.

    Args:
        finished: Takes each data set that is ready.
        server: The service's address, for errors.
    """

    def __init__(self, finished: Callable[[DataSet], None], server: str) -> None:
        self._finished = finished
        self._server = server
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def begin(self, work: Work) -> str:
        """Begin to work, and return the name of the run.

        Raises:
            StudioError: There are enough at work.
        """
        working = [run for run in self._runs.values() if not run.task.done()]
        if len(working) >= MOST_AT_ONCE:
            raise StudioError(
                "The studio is busy",
                f"It encodes {len(working)} folders already, and at most {MOST_AT_ONCE} at once.",
                "Wait for one to end, or cancel yours.",
                status=429,
                kind="overloaded",
            )
        name, loop = secrets.token_urlsafe(12), asyncio.get_running_loop()
        progress = Progress()
        task = loop.create_task(self._work(work, progress))
        self._runs[name] = run = Run(progress, loop.time(), self._server, task)
        loop.call_later(_FORGOTTEN_SECONDS, self._look_after, run)
        while len(self._runs) > _KEPT:
            self._runs.popitem(last=False)[1].task.cancel()
        return name

    def get(self, name: str) -> Run:
        """Return a run that somebody asks for.

        Raises:
            StudioError: There is none of that name.
        """
        run = self._runs.get(name)
        if run is None:
            raise StudioError(
                "This run is not known any more",
                "The studio was started anew.",
                "Begin it again.",
                status=404,
                kind="closed",
            )
        run.asked = asyncio.get_running_loop().time()
        return run

    async def end(self) -> None:
        """Cancel what is at work."""
        tasks = [run.task for run in self._runs.values() if not run.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, work: Work, progress: Progress) -> DataSet:
        try:
            made = await work(progress)
        except Exception as error:
            first = _first(error)
            if problems.of_error(first, self._server) is None:
                _LOG.exception("encoding a folder")
            if first is error:
                raise
            raise first from error
        self._finished(made)
        return made

    def _look_after(self, run: Run) -> None:
        """End a run that nobody has asked for in a while: its page is gone."""
        loop = asyncio.get_running_loop()
        left = run.asked + _FORGOTTEN_SECONDS - loop.time()
        if run.task.done():
            return
        if left <= 0:
            run.task.cancel()
        else:
            loop.call_later(left, self._look_after, run)


def _first(error: Exception) -> Exception:
    """The error itself, or the first of a task group, in which one failure ends the others."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
