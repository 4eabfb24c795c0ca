"""Several servers behind one client, of which one is killed, one drains and both come back."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from evenface_client import AsyncClient, Client
from numpy.typing import NDArray
from support.bundles import expected_mean, images
from support.patience import PATIENCE
from support.ports import free_port
from support.servers import ServerProcess, scrape, server_process

PICTURES = images(2)
MEANS = expected_mean(PICTURES)
THREADS, TASKS = 3, 3


@dataclass
class Load:
    """Calls of all kinds without end, from threads and from an event loop.

    Attributes:
        target: Where to.
        answered: Right answers by kind of call.
        problems: Everything else.
    """

    target: str
    answered: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._client = Client(self.target)
        work: list[Callable[[], None]] = [
            *[lambda: self._call(self._client)] * THREADS,
            *[lambda: self._stream(self._client)] * THREADS,
            lambda: asyncio.run(self._call_and_stream()),
        ]
        self._threads = [threading.Thread(target=self._guarded, args=(one,)) for one in work]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def wait(self, more: int) -> None:
        """Wait until there are so many more answers of each kind; fail at the first problem."""
        before = Counter(self.answered)
        until(lambda: bool(self.problems) or self._has_grown(before, more))
        assert self.problems == []

    def _has_grown(self, before: Counter[str], more: int) -> bool:
        kinds = ("call", "stream", "async call", "async stream")
        return all(self.answered[kind] - before[kind] >= more for kind in kinds)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller saw it
            self.problems.append(repr(error))

    def _check(self, kind: str, found: NDArray[np.float32], number: int) -> None:
        if abs(found - MEANS[number % 2]).max() > 1e-5:
            self.problems.append(f"{kind}: a wrong answer")
        self.answered[kind] += 1

    def _call(self, client: Client) -> None:
        while not self._stopped.is_set():
            self._check("call", client.encode(PICTURES[0]).mean[0], 0)
            time.sleep(0.005)

    def _stream(self, client: Client) -> None:
        for outcome in client.encode_stream(self._pictures()):
            self._check("stream", outcome.unwrap().mean, outcome.index)

    def _pictures(self) -> Iterator[NDArray[np.uint8]]:
        number = 0
        while not self._stopped.is_set():
            yield PICTURES[number % 2]
            number += 1
            time.sleep(0.001)

    async def _call_and_stream(self) -> None:
        async with AsyncClient(self.target) as client:
            calls = [self._call_async(client) for _ in range(TASKS)]
            streams = [self._stream_async(client) for _ in range(TASKS)]
            await asyncio.gather(*calls, *streams)

    async def _call_async(self, client: AsyncClient) -> None:
        while not self._stopped.is_set():
            self._check("async call", (await client.encode(PICTURES[1])).mean[0], 1)
            await asyncio.sleep(0.005)

    async def _stream_async(self, client: AsyncClient) -> None:
        async for outcome in client.encode_stream(self._pictures_async()):
            self._check("async stream", outcome.unwrap().mean, outcome.index)

    async def _pictures_async(self) -> Any:  # noqa: ANN401 - an async generator
        number = 0
        while not self._stopped.is_set():
            yield PICTURES[number % 2]
            number += 1
            await asyncio.sleep(0.001)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not so after {PATIENCE} s"
        time.sleep(0.02)


def calls_of(server: ServerProcess) -> float:
    """How many unary Encodes a server has answered."""
    address = str(server.wait_for("serving")["metrics_address"])
    labels = 'grpc_code="OK",grpc_method="Encode"'
    return sum(value for name, value in scrape(address).items() if labels in name)


def shares(servers: list[ServerProcess], load: Load, calls: int) -> list[float]:
    """Which part of so many calls of each kind each server answers."""
    before = [calls_of(server) for server in servers]
    load.wait(calls)
    counts = np.zeros(len(servers))

    def counted() -> bool:  # a worker's figures reach its metrics a moment after its answers
        counts[:] = np.array([calls_of(server) for server in servers]) - before
        return bool(counts.sum() >= calls)

    until(counted)
    return list(counts / counts.sum())


def is_even(parts: list[float]) -> bool:
    return max(abs(part - 1 / len(parts)) for part in parts) < 0.1


def kill(server: ServerProcess) -> None:
    """End a server and its workers as a machine that fails would."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_no_call_fails_where_servers_are_killed_drain_and_come_back(tiny_models: Path) -> None:
    options = ("--workers", "1", "--metrics", "--metrics-port", "0", "--max-connection-age", "3")
    with ExitStack() as stack:

        def start(port: int) -> ServerProcess:
            arguments = (*options, "--port", str(port))
            return stack.enter_context(server_process(tiny_models, *arguments))

        ports = [free_port() for _ in range(3)]
        servers = [start(port) for port in ports]
        target = "ipv4:" + ",".join(server.address for server in servers)
        with Load(target) as load:
            until(lambda: is_even(shares(servers, load, 30)))
            killed, drained, steady = servers
            kill(killed)
            load.wait(50)
            drained.process.send_signal(signal.SIGTERM)
            load.wait(50)
            assert drained.process.wait(PATIENCE) == 0
            assert drained.wait_for("stopped")["all_answered"] is True
            refused = [line for line in drained.lines if line.get("code", "OK") != "OK"]
            assert {line["method"] for line in refused} <= {"EncodeStream"}
            alone = calls_of(steady)
            load.wait(50)
            until(lambda: calls_of(steady) > alone + 50)
            again = [start(port) for port in ports[:2]]
            until(lambda: is_even(shares([*again, steady], load, 30)))
    assert load.problems == []
