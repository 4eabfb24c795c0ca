"""Real servers for tests: in this process, or as the command in one of its own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import grpc
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface.v1.model_service_pb2_grpc import ModelServiceStub
from evenface_core.manifest import FunctionName
from evenface_server.app import App, open_app
from evenface_server.listening import Listener
from evenface_server.logs import CallLog
from evenface_server.metrics import Metrics
from evenface_server.models.curator import Curator
from evenface_server.models.rollout import Rollout
from evenface_server.settings import Settings
from evenface_server.totals import Totals
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from support.patience import PATIENCE

if TYPE_CHECKING:  # these two exist for type checkers alone
    from evenface.v1.face_service_pb2_grpc import FaceServiceAsyncStub
    from evenface.v1.model_service_pb2_grpc import ModelServiceAsyncStub

_QUIET: dict[str, Any] = {"port": 0, "session_threads": 1}
_CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass(frozen=True)
class Running:
    """A server in this process, without a supervisor, and stubs on a channel of their own."""

    app: App
    curator: Curator
    listener: Listener
    metrics: Metrics
    totals: Totals
    channel: grpc.aio.Channel
    face: "FaceServiceAsyncStub"
    model: "ModelServiceAsyncStub"

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.listener.address

    @property
    def port(self) -> int:
        """Where on this machine."""
        return int(self.address.rpartition(":")[2])

    async def drain(self, delay: float, grace: float) -> bool:
        """As `App.drain`; connections are accepted until its end."""
        finished = await self.app.drain(delay, grace)
        self.listener.close()
        return finished

    def samples(self) -> dict[str, float]:
        """All samples that it would show, as `scrape` has them."""
        self.totals.add("own", self.metrics.instruments.take())
        self.totals.drift.add(self.app.engine.latents.take())
        registry = CollectorRegistry()
        registry.register(self.totals)
        return _samples(generate_latest(registry).decode())


@asynccontextmanager
async def running(
    models: Path,
    *,
    log: Any = None,  # noqa: ANN401 - Lines; settings are passed on as dicts of their own types
    **settings: Any,  # noqa: ANN401 - as many types as settings
) -> AsyncIterator[Running]:
    """Run the server in this process on a free port.

    Args:
        models: The model directory.
        log: Gets the lines about calls.
        settings: As in `Settings`.
    """
    chosen = Settings.model_validate({**_QUIET, "models": models, **settings})
    metrics = Metrics()
    async with AsyncExitStack() as opened:
        app = open_app(chosen, metrics, CallLog(log))
        opened.push_async_callback(app.stop)
        copies = Path(opened.enter_context(TemporaryDirectory()))
        name = chosen.default_model
        curator = Curator(chosen.models, name, copies, Rollout(), metrics.refused)
        await curator.join(app.loader)
        await curator.open()
        listener = Listener("port", chosen.host, chosen.port, _adopter(app))
        opened.callback(listener.close)
        listener.open()
        channel = grpc.aio.insecure_channel(listener.address, options=_CHANNEL)
        await opened.enter_async_context(channel)
        stubs = FaceServiceStub(channel), ModelServiceStub(channel)
        totals = Totals(metrics.instruments)
        yield Running(app, curator, listener, metrics, totals, channel, *stubs)


def _adopter(app: App) -> Callable[[socket.socket], None]:
    adopting: set[asyncio.Task[None]] = set()

    def adopt(connected: socket.socket) -> None:
        task = asyncio.create_task(app.adopt(connected))
        adopting.add(task)
        task.add_done_callback(adopting.discard)

    return adopt


@dataclass
class ServerProcess:
    """`evenface-server` in a process of its own, and what it has logged."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]]
    _more: threading.Condition

    def wait_for(self, event: str) -> dict[str, Any]:
        """Return the first line with an event, waiting for it."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines if line["event"] == event), None)

        with self._more:
            self._more.wait_for(lambda: found() or self.process.poll() is not None, PATIENCE)
            line = found()
        assert line is not None, f"no '{event}' in {self.lines}"
        return line

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on its processes or lines; fail where it does not come true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not so after {PATIENCE} s: {self.lines}"
            time.sleep(0.01)

    def wait_for_count(self, event: str, count: int) -> None:
        """Wait until so many lines have an event."""
        self.wait_until(lambda: self.count(event) == count)

    def count(self, event: str) -> int:
        """Count its lines with an event."""
        return sum(line["event"] == event for line in tuple(self.lines))

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.wait_for("serving")["address"])

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> None:
        """Let it end, so that all its lines are there."""
        assert self.stop() == 0
        self.wait_for("stopped")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def server_process(models: Path, *options: str) -> Iterator[ServerProcess]:
    """Start the command on a free port, in a process group of its own.

    It is killed at the end if it still runs. Its workers end by themselves then, and remove what
    they share; those that do not, as a test may have stopped them, are killed too.

    Args:
        models: The model directory.
        options: Further ones.
    """
    arguments = ["--models", str(models), "--port", "0", "--no-metrics", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "evenface_server", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = ServerProcess(process, [], threading.Condition())
    reader = threading.Thread(target=_read, args=(server,))
    reader.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join(PATIENCE)  # until all who could write are gone
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        reader.join()


def _read(server: ServerProcess) -> None:
    assert server.process.stdout is not None
    with server.process.stdout as stream:
        for line in stream:
            with server._more:  # noqa: SLF001 - its own
                server.lines.append(json.loads(line))
                server._more.notify_all()  # noqa: SLF001
    with server._more:  # noqa: SLF001
        server._more.notify_all()  # noqa: SLF001


def run_server(
    *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, for options that it refuses."""
    return subprocess.run(
        [sys.executable, "-m", "evenface_server", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **(environment or {})},
    )


def scrape(address: str) -> dict[str, float]:
    """All samples of /metrics by name and labels: 'name{a="1",b="2"}', labels in order."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as reply:
        return _samples(reply.read().decode())


def _samples(text: str) -> dict[str, float]:
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail where it does not come true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - any condition, also in another process
            await asyncio.sleep(0.005)


async def admitted(app: App, rows: int, function: FunctionName = "encode") -> None:
    """Wait until the default model has that many rows admitted and not answered."""
    lane = app.engine.registry.resolve("", "").lanes[function]
    await until(lambda: lane.rows == rows)


@contextmanager
def grpc_server() -> Iterator[tuple[grpc.Server, str]]:
    """Lend grpcio's own server, for services that fail on purpose, and its address; start it."""
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("127.0.0.1:0")
    try:
        yield server, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
