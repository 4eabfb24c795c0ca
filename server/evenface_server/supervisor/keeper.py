"""One place among the workers: kept filled until the end, or until its workers die too often."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from evenface_core.errors import ConfigError, EvenfaceError

from evenface_server.supervisor.process import WorkerProcess

_LOG = logging.getLogger(__name__)
_MAX_DOUBLINGS: Final = 100


class CrashLoop(EvenfaceError):
    """Workers die one after the other."""

    reason = "CRASH_LOOP"


@dataclass(frozen=True)
class Patience:
    """What is put up with.

    Attributes:
        stuck_seconds: Without a word from a worker, after which it is killed.
        start_seconds: The same for one that starts, which may wait for a device or for files.
        healthy_seconds: That a worker must have served for its death to count as the first.
        deaths: In a row at one place, after which there are no more replacements. Those at the
            opening of another bundle do not count, as that is refused after the second; nor do
            those of workers that cannot start, as a file has gone bad, while others serve.
        pause_seconds: Before the second replacement in a row; the pauses grow twofold.
        longest_pause_seconds: Before a replacement.
        look_seconds: Between looks at the workers.
        even_out_seconds: That peers get to go elsewhere before more are asked to.
    """

    stuck_seconds: float = 30.0
    start_seconds: float = 300.0
    healthy_seconds: float = 60.0
    deaths: int = 5
    pause_seconds: float = 0.1
    longest_pause_seconds: float = 30.0
    look_seconds: float = 1.0
    even_out_seconds: float = 5.0

    def pause_after(self, deaths: int) -> float:
        """Seconds before a replacement: none for the first."""
        pause = self.pause_seconds * (2.0 ** min(deaths - 1, _MAX_DOUBLINGS) - 1)
        return min(pause, self.longest_pause_seconds)


class Keeper:
    """Keeps a place filled.

    Args:
        place: Its number.
        hire: Starts a worker there.
        dismiss: Told of a worker that is gone.
        has_others: Whether there are workers that serve.
        patience: What is put up with.

    Attributes:
        restarts: How many workers have been replaced.
    """

    def __init__(
        self,
        place: int,
        hire: Callable[[int], WorkerProcess],
        dismiss: Callable[[WorkerProcess], None],
        has_others: Callable[[], bool],
        patience: Patience,
    ) -> None:
        self.restarts = 0
        self._place = place
        self._hire = hire
        self._dismiss = dismiss
        self._has_others = has_others
        self._patience = patience
        self._deaths = self._counted = 0
        self._has_served = False

    async def keep(self, leaving: asyncio.Event) -> None:
        """Keep the place filled until `leaving` is set and its worker is gone.

        Raises:
            ConfigError: Its first worker cannot start with these settings.
            CrashLoop: Its workers die too often.
        """
        while not leaving.is_set():
            cause = await self._fill(leaving)
            if leaving.is_set():
                return
            if self._counted == self._patience.deaths:
                raise CrashLoop(
                    f"worker {self._place} died {self._deaths} times in a row; "
                    f"the last time: {cause}"
                )
            self.restarts += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.pause_after(self._deaths)):
                    await leaving.wait()

    async def _fill(self, leaving: asyncio.Event) -> str:
        """Start a worker and wait until it is gone; why it is."""
        try:
            worker = self._hire(self._place)
        except OSError as error:  # there is no memory for it, or there are too many processes
            self._note_death(counts=True)
            _LOG.error("worker cannot start", extra={"worker": self._place, "cause": str(error)})
            return str(error)
        await worker.ended()
        self._dismiss(worker)
        self._has_served |= worker.served_seconds > 0
        if worker.failure is not None and not self._has_served and not leaving.is_set():
            raise ConfigError(worker.failure)
        if worker.served_seconds >= self._patience.healthy_seconds:
            self._deaths = self._counted = 0
        may_wait = worker.failure is not None and self._has_others()
        self._note_death(counts=not (worker.was_opening or may_wait))
        cause = worker.failure or _words_for(worker.exit_code)
        if not leaving.is_set() or ((worker.exit_code or 0) < 0 and not worker.was_killed):
            extra = {"worker": self._place, "pid": worker.pid, "cause": cause}
            _LOG.error("worker died", extra=extra | {"seconds": round(worker.lived_seconds, 3)})
        return cause

    def _note_death(self, *, counts: bool) -> None:
        self._deaths += 1
        self._counted += counts


def _words_for(code: int | None) -> str:
    """How a process ended, from its exit code."""
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
