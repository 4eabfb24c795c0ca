"""Measures a subject once it is under way: images and CPU time between two of its lines."""

import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.batch.subject import is_floor
from benchmarks.serving.places import LOGS, ROOT
from benchmarks.serving.processes import MARK, Server, ServerFailed, busy_seconds

_PATIENCE = 120.0
_WARM_UP_SECONDS = 1.0
_LEAST_LINES = 12  # for each worker


@dataclass(frozen=True)
class Figures:
    """What a subject does when all its workers are busy.

    Attributes:
        images_per_second: Of all workers.
        cpu_per_image: CPU µs of all its processes, a server's included.
        cores: CPU seconds per second of all its processes.
        other_cores: Likewise of everything else on the machine; noise.
        start: Seconds from its start until each worker has scored something.
        memory: MiB of all its processes, what they share counted once.
    """

    images_per_second: float
    cpu_per_image: float
    cores: float
    other_cores: float
    start: float
    memory: float


@dataclass(frozen=True)
class _Moment:
    time: float
    images: int
    cpu: float
    busy: float


class _Running:
    """The processes of a subject, and what they have said."""

    def __init__(self, kind: str, workers: int, folder: Path) -> None:
        self._mark = f"{os.getpid()}-batch-{time.monotonic_ns()}"
        self._said = threading.Condition()
        self._lines: list[int] = []
        log = ROOT / LOGS / "batch.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.batch.subject", kind, str(workers)]
        with log.open("wb") as stderr:
            self._servers = [
                Server(self._start([*command, str(folder)], stderr.fileno()), log, self._mark)
                for _ in range(workers if is_floor(kind) else 1)
            ]
        for server in self._servers:
            threading.Thread(target=self._read, args=(server.process,), daemon=True).start()

    def _start(self, command: list[str], stderr: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with process.stdout as stream:
            for line in stream:
                with self._said:
                    self._lines.append(int(line))
                    self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def line(self, number: int) -> _Moment:
        """Wait for so many lines.

        Raises:
            ServerFailed: They did not come.
        """
        with self._said:
            there = self._said.wait_for(
                lambda: len(self._lines) >= number or any(map(_ended, self._servers)), _PATIENCE
            )
            if not there or len(self._lines) < number:
                raise ServerFailed(f"it said nothing: {self._servers[0].last_words()}")
            images = sum(self._lines)
        return _Moment(time.perf_counter(), images, self._servers[0].cpu_seconds(), busy_seconds())

    @property
    def lines(self) -> int:
        """How many there are."""
        return len(self._lines)

    def memory_mib(self) -> float:
        """Memory of all processes: each carries the mark."""
        return self._servers[0].memory_mib()

    def stop(self) -> None:
        """End all of them."""
        for server in self._servers:
            server.stop()


def measure(kind: str, workers: int, folder: Path, seconds: float) -> Figures:
    """Run a subject for a while.

    Raises:
        ServerFailed: It did not run.
    """
    with ExitStack() as stack:
        began = time.perf_counter()
        running = _Running(kind, workers, folder)
        stack.callback(running.stop)
        ready = running.line(2 * workers)
        time.sleep(_WARM_UP_SECONDS)
        first = running.line(running.lines + 1)
        counted = running.lines
        time.sleep(seconds)
        # Chunks that are under way at either end are a small part of those between.
        last = running.line(max(running.lines + 1, counted + _LEAST_LINES * workers))
        memory = running.memory_mib()
    images, took, cpu = last.images - first.images, last.time - first.time, last.cpu - first.cpu
    return Figures(
        images_per_second=images / took,
        cpu_per_image=1e6 * cpu / images,
        cores=cpu / took,
        other_cores=max(0.0, (last.busy - first.busy - cpu) / took),
        start=ready.time - began,
        memory=memory,
    )


def _ended(server: Server) -> bool:
    return server.process.poll() is not None
