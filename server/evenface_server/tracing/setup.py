"""Tracers of a process, made from OpenTelemetry's own variables (OTEL_*) as far as its SDK does."""

import logging
import os
from importlib.metadata import version
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from evenface_server.tracing.kit import Tracing
from evenface_server.tracing.variables import HTTP, check_variables

_NAME: Final = "evenface"


def open_tracing(ratio: float | None) -> Tracing:
    """Begin to export.

    Args:
        ratio: Share of the calls without a traced caller that are traced, 0 to 1; what callers say
            of theirs is heeded. None leaves all of it to OTEL_TRACES_SAMPLER.

    Raises:
        ConfigError: A variable cannot be used; names it, its value and what is allowed.
    """
    protocol = check_variables(os.environ, samples=ratio is None)
    # A collector that is gone is worth a line for each batch that is lost, not for each try, and
    # a caller's context that cannot be read is worth none: it would be the caller's to write.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logging.getLogger("opentelemetry.sdk").setLevel(logging.WARNING)
    resource = _resource()
    processor = BatchSpanProcessor(_exporter(protocol))
    calls = TracerProvider(_sampler(ratio), resource, shutdown_on_exit=False)
    batches = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    for provider in (calls, batches):
        provider.add_span_processor(processor)
    own = version(_NAME)
    return Tracing(calls.get_tracer(_NAME, own), batches.get_tracer(_NAME, own), processor)


def _sampler(ratio: float | None) -> Sampler | None:
    return None if ratio is None else ParentBased(TraceIdRatioBased(ratio))


def _resource() -> Resource:
    own = Resource({"service.version": version(_NAME), "process.pid": os.getpid()})
    found = own.merge(Resource.create())
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        return found.merge(Resource({"service.name": _NAME}))
    return found


def _exporter(protocol: str) -> SpanExporter:
    """Make the exporter of a protocol; it reads its own variables."""
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

        return http.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

    return grpc.OTLPSpanExporter()
