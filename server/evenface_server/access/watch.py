"""Files that are read again when they change, while what was read before stays in use.

Transport-free. A thread of its own looks at the files: a file system that hangs must not hold up
the event loop.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from evenface_core.errors import EvenfaceError

T = TypeVar("T")
_Mark = tuple[int, ...] | None

_LOG = logging.getLogger(__name__)
_POLL_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 1.0


class Watched(Generic[T]):
    """What a few files say, as last read without an error.

    A change is taken in once the files have stayed as they are from one look to the next, so that
    half of a file, or a certificate without its key, is not taken for all of it.

    Args:
        name: The setting that names the files, for the log.
        paths: The files; symbolic links are followed, so that Kubernetes' swaps are seen.
        read: Reads all of them.

    Raises:
        EvenfaceError: What the first reading raised.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        self._name = name
        self._paths = tuple(paths)
        self._read = read
        self._taken = self._last = self._look()
        self.value = read()

    def poll(self) -> None:
        """Look at the files; read them again where they have changed and come to rest."""
        found = self._look()
        is_at_rest, self._last = found == self._last, found
        if not is_at_rest or found == self._taken:
            return
        self._taken = found  # first: a file that cannot be used is complained of once
        try:
            value = self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, what was read before stays
            foreseen = isinstance(error, EvenfaceError)
            facts = {"setting": self._name, "reason": str(error)}
            _LOG.error("reload refused", extra=facts, exc_info=None if foreseen else error)
            return
        if self._look() != found:
            return  # it may have been half of it; the next looks bring it up again
        self.value = value
        _LOG.info("reloaded", extra={"setting": self._name})

    def _look(self) -> tuple[_Mark, ...]:
        return tuple(map(_mark, self._paths))


class Watcher:
    """A thread that looks at files every second.

    Args:
        watched: What to look after.
        seconds: From one look to the next.
    """

    def __init__(self, watched: Sequence[Watched[Any]], seconds: float = _POLL_SECONDS) -> None:
        self._watched = tuple(watched)
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        if self._watched:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_SECONDS)  # no longer: the file system may hang

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            for one in self._watched:
                one.poll()


def _mark(path: Path) -> _Mark:
    """What changes whenever a file does; None where there is none to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
