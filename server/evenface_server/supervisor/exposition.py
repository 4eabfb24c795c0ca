"""The metrics of all processes, over HTTP."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, Metric, start_http_server
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
# That a client may take for each part of its request, as each client has a thread.
_REQUEST_SECONDS: Final = 10.0


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


class _Handler(WSGIRequestHandler):
    """Answers one request, and gives up clients that send none or have left."""

    timeout = _REQUEST_SECONDS

    def handle(self) -> None:
        """Answer."""
        with suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""


class Exposition:
    """Answers to Prometheus until it is closed.

    Args:
        host: Address to listen on.
        port: 0 for any free one.
        collectors: What to show, besides this process.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(self, host: str, port: int, collectors: Sequence[Totals | Staff]) -> None:
        registry = CollectorRegistry()
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=registry)
        for collector in collectors:
            registry.register(collector)
        check_free("metrics_port", host, port)  # its reasons are clearer than the library's
        self._server, self._thread = start_http_server(port, host, registry)
        self._server.RequestHandlerClass = _Handler
        self.address = address_of(host, self._server.server_port)

    async def close(self) -> None:
        """Stop."""
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        self._thread.join()
