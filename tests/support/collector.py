"""A collector of spans: OTLP over HTTP, as a real one takes it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from support.patience import PATIENCE

# So that tests need not wait for the usual five seconds.
_SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@dataclass(frozen=True)
class Seen:
    """A span as it came.

    Attributes:
        raw: All of it.
        attributes: Of the span.
        resource: Of who made it.
    """

    raw: Span
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it is about."""
        return str(self.raw.name)

    @property
    def id(self) -> bytes:
        """Its number."""
        return bytes(self.raw.span_id)

    @property
    def trace(self) -> bytes:
        """The number of its trace."""
        return bytes(self.raw.trace_id)

    @property
    def parent(self) -> bytes:
        """The number of the span above it; empty for a root."""
        return bytes(self.raw.parent_span_id)

    @property
    def links(self) -> set[bytes]:
        """The numbers of the spans that it links to."""
        return {bytes(link.span_id) for link in self.raw.links}

    @property
    def failed(self) -> bool:
        """Whether its status says so."""
        return bool(self.raw.status.code == Status.STATUS_CODE_ERROR)


@dataclass
class Collector:
    """What has come.

    Attributes:
        port: Where it listens on this machine.
        held: While set, requests wait for their answer.
        requests: How many began.
    """

    port: int
    held: threading.Event = field(default_factory=threading.Event)
    requests: int = 0
    _spans: list[Seen] = field(default_factory=list)
    _more: threading.Condition = field(default_factory=threading.Condition)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that is to send its spans here."""
        return {**_SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def spans(self, name: str | None = None) -> list[Seen]:
        """Return what has come so far, all or those of a name, in the order in which they began."""
        with self._more:
            found = [one for one in self._spans if name in (None, one.name)]
        return sorted(found, key=lambda one: one.raw.start_time_unix_nano)

    def wait_for(self, enough: Callable[[Sequence[Seen]], bool]) -> list[Seen]:
        """Wait until what has come is enough; return it."""
        end = time.monotonic() + PATIENCE
        with self._more:
            while not enough(self._spans):
                left = end - time.monotonic()
                assert left > 0, f"not enough: {[one.name for one in self._spans]}"
                self._more.wait(left)
        return self.spans()

    def wait_for_count(self, name: str, count: int) -> list[Seen]:
        """Wait until so many spans of a name have come; return these."""
        self.wait_for(lambda spans: sum(one.name == name for one in spans) >= count)
        return self.spans(name)

    def take(self, body: bytes) -> None:
        """Take a request in."""
        request = ExportTraceServiceRequest.FromString(body)
        seen = [
            Seen(span, _values(span.attributes), _values(one.resource.attributes))
            for one in request.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]
        with self._more:
            self._spans += seen
            self._more.notify_all()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect spans on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests += 1
            while collector.held.is_set():
                time.sleep(0.01)
            collector.take(body)
            with suppress(ConnectionError):  # who asked may have gone
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield collector
    finally:
        collector.held.clear()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def collecting_grpc() -> Iterator[Collector]:
    """Collect spans on a free port, by gRPC."""
    server = grpc.server(ThreadPoolExecutor(1))
    collector = Collector(server.add_insecure_port("127.0.0.1:0"))

    class Servicer(TraceServiceServicer):
        def Export(  # noqa: N802 - gRPC's name
            self, request: ExportTraceServiceRequest, context: object
        ) -> ExportTraceServiceResponse:
            del context
            collector.take(request.SerializeToString())
            return ExportTraceServiceResponse()

    add_TraceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _values(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - a repeated field
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}
