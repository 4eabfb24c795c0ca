"""The metrics of all processes, over HTTP."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from evenface_server.listening import address_of, check_free
from evenface_server.supervisor.pool import Pool
from evenface_server.totals import Totals

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_LABELS: Final = ("worker",)


class Staff(Collector):
    """The workers, as metrics.

    Args:
        pool: Keeps them.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """All metrics, for Prometheus."""
        workers = self._pool.workers
        yield GaugeMetricFamily("evenface_workers", "Workers that answer.", len(workers))
        yield _counter(
            "evenface_worker_restarts",
            "Workers that died and were replaced.",
            dict(enumerate(self._pool.restarts)),
        )
        yield _gauge(
            "evenface_worker_connections",
            "Open connections.",
            {worker.place: worker.connections for worker in workers},
        )
        used = {w.place: usage for w in workers if (usage := _usage_of(w.pid)) is not None}
        yield _counter(
            "evenface_worker_cpu_seconds",
            "CPU time of the process at work.",
            {place: usage.cpu_seconds for place, usage in used.items()},
        )
        yield _gauge(
            "evenface_worker_resident_memory_bytes",
            "Memory of the process at work.",
            {place: usage.resident_bytes for place, usage in used.items()},
        )


class _Usage(NamedTuple):
    cpu_seconds: float
    resident_bytes: int


def _counter(name: str, text: str, values: Mapping[int, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=_LABELS)
    for place, value in values.items():
        family.add_metric((str(place),), value)
    return family


def _gauge(name: str, text: str, values: Mapping[int, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=_LABELS)
    for place, value in values.items():
        family.add_metric((str(place),), value)
    return family


def _usage_of(pid: int) -> _Usage | None:
    """What the system says of a process; None where there is none, or no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # from the third on: the name may hold anything
    user, system, pages = (int(fields[number - 3]) for number in (14, 15, 24))
    return _Usage((user + system) / _TICKS, pages * _PAGE_BYTES)


@dataclass(frozen=True)
class Limits:
    """What clients can take, as each has a thread.

    Attributes:
        connections: At a time. A new one takes the place of the oldest, of those first that have
            not sent a request, so that nobody keeps Prometheus out by holding connections.
        seconds: From being accepted to having read the reply.
    """

    connections: int = 32
    seconds: float = 10.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128  # the library's 5 would have a scan keep others out

    def __init__(self, host: str, port: int, registry: CollectorRegistry, limits: Limits) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._limits = limits
        self._open: dict[socket.socket, _Client] = {}
        self._changed = threading.Condition()
        super().__init__((host, port), _Handler)
        self.set_app(make_wsgi_app(registry))

    def heard(self, connection: socket.socket) -> None:
        """Note that a request has come in whole."""
        self._open[connection].is_waiting = False

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base's
        """Answer in a thread, as soon as there is room."""
        with self._changed:
            while len(self._open) >= self._limits.connections:
                _end(min(self._open, key=lambda one: self._open[one].rank))
                self._changed.wait(self._limits.seconds)
            self._open[request] = _Client(time.monotonic())
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base's
        """Let a connection go; its thread ends."""
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify()
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End what takes too long; called twice a second, and for each connection."""
        before = time.monotonic() - self._limits.seconds
        with self._changed:
            for connection, client in self._open.items():
                if client.since < before:
                    _end(connection)


@dataclass
class _Client:
    since: float
    is_waiting: bool = True

    @property
    def rank(self) -> tuple[bool, float]:
        """The lowest has to go first."""
        return not self.is_waiting, self.since


def _end(connection: socket.socket) -> None:
    """Wake the thread that waits for a connection."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    """Answers one request."""

    server: _Server

    def handle(self) -> None:
        """Answer, unless the client leaves or is made to."""
        with suppress(OSError):
            super().handle()

    def parse_request(self) -> bool:
        """Read what is left of a request."""
        is_whole = super().parse_request()
        if is_whole:
            self.server.heard(self.connection)
        return is_whole

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""


class Exposition:
    """Answers to Prometheus until it is closed.

    Args:
        host: Address to listen on.
        port: 0 for any free one.
        collectors: What to show, besides this process.
        limits: Of its clients.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        collectors: Sequence[Totals | Staff],
        limits: Limits = Limits(),
    ) -> None:
        registry = CollectorRegistry()
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=registry)
        for collector in collectors:
            registry.register(collector)
        check_free("metrics_port", host, port)  # its reasons are clearer than the library's
        self._server = _Server(host, port, registry, limits)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = address_of(host, self._server.server_port)

    async def close(self) -> None:
        """Stop."""
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        self._thread.join()
