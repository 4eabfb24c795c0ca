"""What commands say: results on stdout, progress and bad files on stderr."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TextIO, TypeVar

from evenface_client import Outcome
from evenface_client.cli.errors import CommandError

T = TypeVar("T")

_TERMINAL_SECONDS, _LOG_SECONDS = 0.1, 10.0


def say(line: str = "") -> None:
    """Print a line of a result."""
    print(line)  # noqa: T201


class Progress:
    """Counts on stderr: a line that is rewritten on a terminal, elsewhere one each ten seconds.

    Args:
        total: How many there will be.
        unit: Of what, in the plural.
        stream: Where to write.
        clock: Seconds.
    """

    def __init__(
        self,
        total: int,
        unit: str = "images",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._unit = total, unit
        self._stream = stream or sys.stderr
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._last = clock()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

    def at(self, count: int) -> None:
        """Show a count, where it is time to."""
        now = self._clock()
        if now - self._last < (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            return
        self._last = now
        line = f"{count}/{self._total} {self._unit}"
        self._stream.write(f"\r{line}" if self._terminal else f"{line}\n")
        self._stream.flush()
        self._shown = True

    def note(self, line: str) -> None:
        """Write a line of its own."""
        self._clear()
        self._stream.write(f"{line}\n")

    def _clear(self) -> None:
        if self._terminal and self._shown:
            self._stream.write("\r\x1b[K")
            self._shown = False


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """The results of many files.

    Attributes:
        files: Those that could be used.
        values: The result of each.
        bad: How many could not.
    """

    files: list[Path]
    values: list[T]
    bad: int

    @property
    def exit_code(self) -> int:
        """1 where some files could not be used, else 0."""
        return int(self.bad > 0)


def gather(files: Sequence[Path], outcomes: Iterable[Outcome[T]]) -> Gathered[T]:
    """Collect the outcomes of files; names each bad one on stderr and goes on.

    Raises:
        CommandError: Not one could be used.
    """
    good: list[tuple[Path, T]] = []
    with Progress(len(files)) as progress:
        for outcome in outcomes:
            path = files[outcome.index]
            if outcome.error is None:
                good.append((path, outcome.unwrap()))
            else:
                progress.note(f"skipped {path}: {getattr(outcome.error, 'problem', outcome.error)}")
            progress.at(outcome.index + 1)
    bad = len(files) - len(good)
    if not good:
        raise CommandError(f"none of {len(files)} images could be used")
    if bad:
        sys.stderr.write(f"{bad} of {len(files)} images skipped\n")
    return Gathered([path for path, _ in good], [value for _, value in good], bad)
