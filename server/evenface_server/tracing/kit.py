"""The parts of a server whose calls are traced."""

import asyncio
from functools import partial

from evenface_transport import Method
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Tracer

from evenface_server.faults import Faults
from evenface_server.kit import Kit
from evenface_server.metrics import Metrics
from evenface_server.models.aside import aside
from evenface_server.streams import Streams
from evenface_server.tracing.engine import TracedEngine
from evenface_server.tracing.lanes import TracedLane
from evenface_server.tracing.rpcs import TracedRpcs
from evenface_server.tracing.streams import TracedFaults, TracedStreams


class Tracing(Kit):
    """Makes them with tracing.

    Args:
        calls: Makes the spans of calls.
        batches: Makes the spans of batches, each the root of a trace of its own.
        processor: Exports them.
    """

    def __init__(self, calls: Tracer, batches: Tracer, processor: SpanProcessor) -> None:
        self.lane = partial(TracedLane, calls, batches)
        self.engine = partial(TracedEngine, calls)
        self._calls = calls
        self._processor = processor

    def streams(self, max_requests: int) -> Streams:
        """Make bulk streams whose requests have spans."""
        return TracedStreams(max_requests, self._calls)

    def faults(self, metrics: Metrics) -> Faults:
        """Make faults that spans tell of."""
        return TracedFaults(metrics)

    def methods(self, methods: dict[str, Method]) -> dict[str, Method]:
        """Give each call a span."""
        rpcs = TracedRpcs(self._calls)
        return {path: rpcs.method(path, method) for path, method in methods.items()}

    async def close(self, seconds: float) -> None:
        """Export what has gathered; what a collector does not take in time is lost."""
        # In a thread that the process does not wait for: the exporter may go on trying.
        ending = asyncio.ensure_future(aside(self._processor.shutdown))
        await asyncio.wait((ending,), timeout=seconds)
