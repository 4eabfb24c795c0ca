"""Servers as processes of their own, and the CPU time of everything that they start."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.places import LOGS, ROOT

MARK = "BENCH_MARK"

_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 5.0
_STRAGGLER_SECONDS = 1.0  # for what the server started, once it has ended itself
_POLL_SECONDS = 0.2


class ServerFailed(Exception):
    """A server did not start or gave a wrong answer; the message says why, in one line."""


@dataclass
class Server:
    """A running server.

    Attributes:
        process: What was started; its children count as well.
        log: What it wrote to stderr.
        mark: Value of the environment variable that its processes inherit.
    """

    process: "subprocess.Popen[bytes]"
    log: Path
    mark: str

    def pids(self) -> list[int]:
        """All processes of the server: those that carry its mark, and their descendants."""
        parents = {pid: _parent(pid) for pid in _all_pids()}
        found = {pid for pid in parents if pid == self.process.pid or _marked(pid, self.mark)}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far, those that have ended included."""
        return sum(map(_cpu_seconds, self.pids()))

    def memory_mib(self) -> float:
        """Memory of all its processes, what they share counted once."""
        return sum(map(_memory_kib, self.pids())) / 1024

    def last_words(self) -> str:
        """The last line that it wrote to stderr, or its exit code."""
        lines = self.log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        code = self.process.poll()
        ended = "" if code is None else f"exit code {code}"
        return ": ".join(part for part in (ended, said[-1][:300] if said else "") if part)

    def wait_until(self, ready: Callable[[], bool], patience: float) -> None:
        """Wait until a condition holds.

        Raises:
            ServerFailed: The server ended, or the condition did not hold in time.
        """
        deadline = time.monotonic() + patience
        while not ready():
            if self.process.poll() is not None:
                raise ServerFailed(f"it ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"not ready after {patience:.0f} s; {self.last_words()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask it to end, and kill what is left of it."""
        pids = self.pids()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        deadline = time.monotonic() + _STRAGGLER_SECONDS
        while any(map(_alive, pids)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        for pid in {*pids, *self.pids()}:
            if _alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def serve(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a server in the repository's root until the context ends; its stdout goes nowhere.

    Args:
        name: For the log.
        command: What to run.
        environment: Added to this process's own, less its settings of evenface.
    """
    log = ROOT / LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{name}"
    own = {key: value for key, value in os.environ.items() if not key.startswith("EVENFACE_")}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**own, **environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    server = Server(process, log, mark)
    try:
        yield server
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def busy_seconds() -> float:
    """CPU seconds that all cores have been busy since boot, for whomever."""
    user, nice, system, _idle, _wait, *interrupts = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts)) / _TICKS


def parse_stat(text: str) -> tuple[int, float]:
    """Parent and CPU seconds, its ended children's included, of a /proc/PID/stat."""
    # The name, in parentheses, may hold anything; the fields after it are plain.
    rest = text.rpartition(")")[2].split()
    return int(rest[1]), sum(map(int, rest[11:15])) / _TICKS


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _stat(pid: int) -> tuple[int, float]:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except OSError:  # it has ended
        return 0, 0.0


def _parent(pid: int) -> int:
    return _stat(pid)[0]


def _cpu_seconds(pid: int) -> float:
    return _stat(pid)[1]


def _memory_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _marked(pid: int, mark: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
