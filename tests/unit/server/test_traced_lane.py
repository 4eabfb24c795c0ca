"""Spans of lanes: of calls that are refused, dropped or fail, and of batches with other calls."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest
from evenface_core.errors import QueueFull
from evenface_server.batching import Lane
from evenface_server.metrics import Metrics
from evenface_server.parts import Arrays
from evenface_server.tracing.lanes import TracedLane
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer
from support.lanes import Clock, Session


class Bench:
    """A traced lane, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer("test")
        self.session = Session(Clock())
        self.lane: Lane = TracedLane(
            self.tracer,
            self.tracer,
            self.session.run,
            max_batch_rows=4,
            max_queue_rows=8,
            label="m/1/encode",
            metrics=Metrics().lane("m", "1", "encode"),
            clock=self.session.clock,
        )

    async def call(self, *values: float) -> Arrays:
        """Run a row of each value, in a span."""
        with self.tracer.start_as_current_span("call", record_exception=False):
            return await self.untraced(*values)

    async def untraced(self, *values: float, requests: int = 1) -> Arrays:
        """Run a row of each value."""
        with self.lane.admit(len(values)) as place:
            return await self.lane.run((np.array([values], np.float32).T,), place, requests)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return those of a name that have ended, in that order."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.lane.stop()


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def links(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def reasons(spans: Sequence[ReadableSpan]) -> list[tuple[bool, object]]:
    return [
        (span.status.status_code is StatusCode.ERROR, (span.attributes or {}).get("error.type"))
        for span in spans
    ]


async def test_a_refused_call_has_an_admission_that_failed_and_nothing_after(bench: Bench) -> None:
    with bench.lane.admit(8), pytest.raises(QueueFull):
        await bench.call(1.0)
    assert reasons(bench.spans("admission")) == [(True, "QUEUE_FULL")]
    assert (bench.spans("admission")[0].attributes or {})["evenface.queue.rows"] == 8
    assert not bench.spans("queue")


async def test_a_failing_session_fails_the_batch_and_each_calls_inference(bench: Bench) -> None:
    with pytest.raises(RuntimeError):
        await bench.call(-1.0)
    for name, count in (("batch", 1), ("inference", 2)):
        assert reasons(bench.spans(name)) == [(True, "RuntimeError")] * count
    assert reasons(bench.spans("queue")) == [(False, None)]


async def test_inputs_that_cannot_be_made_fail_their_call_alone(bench: Bench) -> None:
    async def spoiled() -> None:
        with (
            bench.tracer.start_as_current_span("call", record_exception=False),
            bench.lane.admit(1) as place,
        ):
            await bench.lane.run(partial(int, "none"), place)  # type: ignore[arg-type]

    bad, good = await asyncio.gather(spoiled(), bench.call(1.0), return_exceptions=True)
    assert isinstance(bad, ValueError)
    assert not isinstance(good, BaseException)
    (batch,) = bench.spans("batch")
    assert len(links(batch)) == 2
    assert reasons([batch]) == [(True, "ValueError")]
    assert reasons(bench.spans("inference")) == [(False, None)] * 2  # the batch's, and that call's


async def test_a_call_that_no_batch_took_has_a_wait_that_failed(bench: Bench) -> None:
    bench.session.hold()
    first = asyncio.create_task(bench.call(1.0))
    await bench.session.next_run()
    second = asyncio.create_task(bench.call(2.0))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    bench.session.free.set()
    await first
    assert reasons(bench.spans("queue")) == [(False, None), (True, "dropped")]
    assert len(bench.spans("batch")) == 1


async def test_a_batch_links_to_those_of_its_calls_that_are_traced(bench: Bench) -> None:
    await asyncio.gather(bench.call(1.0), bench.untraced(2.0), bench.call(3.0))
    (batch,) = bench.spans("batch")
    calls = bench.spans("call")
    assert links(batch) == {id_of(call) for call in calls}
    assert (batch.attributes or {})["evenface.batch.requests"] == 3
    assert (batch.attributes or {})["evenface.rows"] == 3
    assert [links(queue) for queue in bench.spans("queue")] == [{id_of(batch)}] * 2


async def test_a_call_of_several_batches_is_linked_by_each(bench: Bench) -> None:
    await bench.call(*map(float, range(6)))
    (call,) = bench.spans("call")
    assert [links(batch) for batch in bench.spans("batch")] == [{id_of(call)}] * 2
    (queue,) = bench.spans("queue")
    assert links(queue) == {id_of(bench.spans("batch")[0])}
    below = [
        one for one in bench.spans("inference") if one.parent and one.parent.span_id == id_of(call)
    ]
    assert len(below) == 2


async def test_calls_that_nobody_traces_leave_no_spans(bench: Bench) -> None:
    await bench.untraced(1.0)
    assert not any(bench.spans(name) for name in ("admission", "queue", "batch", "inference"))


async def test_calls_that_stand_for_several_requests_count_as_these(bench: Bench) -> None:
    await asyncio.gather(bench.call(1.0), bench.untraced(2.0, 3.0, requests=2))
    (batch,) = bench.spans("batch")
    assert (batch.attributes or {})["evenface.batch.requests"] == 3
    assert bench.lane.metrics.queue_wait.count == 3
