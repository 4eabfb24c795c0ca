"""Tracers of a process, made from OpenTelemetry's own variables (OTEL_*) as far as its SDK does."""

import logging
import os
import re
from importlib.metadata import version
from typing import Final
from urllib.parse import unquote

from evenface_core.errors import ConfigError
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from evenface_server.tracing.kit import Tracing

_NAME: Final = "evenface"
_HTTP, _GRPC = "http/protobuf", "grpc"
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def open_tracing(ratio: float | None) -> Tracing:
    """Begin to export.

    Args:
        ratio: Share of the calls without a traced caller that are traced, 0 to 1; what callers say
            of theirs is heeded. None leaves all of it to OTEL_TRACES_SAMPLER.

    Raises:
        ConfigError: A variable names what there is not.
    """
    for name in _HEADERS:
        _check_headers(name, os.environ.get(name, ""))
    # A collector that is gone is worth a line for each batch that is lost, not for each try, and
    # a caller's context that cannot be read is worth none: it would be the caller's to write.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logging.getLogger("opentelemetry.sdk").setLevel(logging.WARNING)
    resource = _resource()
    processor = BatchSpanProcessor(_exporter())
    calls = TracerProvider(_sampler(ratio), resource, shutdown_on_exit=False)
    batches = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    for provider in (calls, batches):
        provider.add_span_processor(processor)
    own = version(_NAME)
    return Tracing(calls.get_tracer(_NAME, own), batches.get_tracer(_NAME, own), processor)


def _check_headers(name: str, value: str) -> None:
    """Check them before the SDK does, which shows in the log what it cannot use."""
    for item in filter(None, map(str.strip, value.split(","))):
        key, is_pair, text = item.partition("=")
        if not (is_pair and _HEADER_NAME.fullmatch(key.strip()) and unquote(text).isprintable()):
            raise ConfigError(f"{name} is no list of NAME=VALUE with commas between them")


def _sampler(ratio: float | None) -> Sampler | None:
    return None if ratio is None else ParentBased(TraceIdRatioBased(ratio))


def _resource() -> Resource:
    own = Resource({"service.version": version(_NAME), "process.pid": os.getpid()})
    found = own.merge(Resource.create())
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        return found.merge(Resource({"service.name": _NAME}))
    return found


def _exporter() -> SpanExporter:
    """Make the exporter of the protocol that is asked for; it reads its own variables."""
    variable = next((name for name in _PROTOCOLS if os.environ.get(name)), _PROTOCOLS[-1])
    protocol = os.environ.get(variable, _HTTP)
    if protocol == _HTTP:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

        return http.OTLPSpanExporter()
    if protocol == _GRPC:
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

        return grpc.OTLPSpanExporter()
    raise ConfigError(f"{variable} is '{protocol}'; allowed: {_HTTP}, {_GRPC}")
