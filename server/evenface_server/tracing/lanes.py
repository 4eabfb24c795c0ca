"""Spans of what a lane does with a call: admission, its wait in the queue, its run; of batches too.

A batch has a trace of its own, as it belongs to no one call: its span links to those of all calls
in it, and what a call's own trace has of it links to the batch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evenface_core.errors import EvenfaceError
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Link, Span, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from evenface_server.admission import Place
from evenface_server.batching import Lane, Prepare
from evenface_server.parts import Arrays, Outcome, Part

ROWS: Final = "evenface.rows"


@dataclass(frozen=True, slots=True)
class _Call:
    """What is known of a call that waits.

    Attributes:
        span: That of the call.
        queue: That of its wait.
    """

    span: Span
    queue: Span


@dataclass(slots=True)
class _Batch:
    """What is known of a batch at work.

    Attributes:
        span: Its own.
        calls: Those of its calls that are traced.
        began: Nanoseconds at which its session began.
        ended: Nanoseconds at which that was done.
    """

    span: Span
    calls: Mapping[Place, _Call]
    began: int = 0
    ended: int = 0


class TracedLane(Lane):
    """A lane whose calls and batches have spans, where a call's own span is recorded.

    Args:
        calls: Makes the spans of calls.
        batches: Makes those of batches.
        run: As `Lane` has it.
        label: As `Lane` has it, "model/version/function".
        options: As `Lane` has them.
    """

    def __init__(
        self,
        calls: Tracer,
        batches: Tracer,
        run: Callable[[Arrays], Arrays],
        *,
        label: str,
        **options: Any,  # noqa: ANN401 - as many types as Lane has
    ) -> None:
        super().__init__(self._timed(run), label=label, **options)
        self._calls, self._batches = calls, batches
        model, _, function = label.rpartition("/")
        self._attributes: dict[str, AttributeValue] = {
            "evenface.model": model,
            "evenface.function": function,
        }
        self._traced: dict[Place, _Call] = {}
        self._batch: _Batch | None = None

    def admit(self, rows: int, deadline: float | None = None, *, ready_in: float = 0.0) -> Place:
        """Hold room for a call, as `Lane.admit` does."""
        if not trace.get_current_span().is_recording():
            return super().admit(rows, deadline, ready_in=ready_in)
        attributes = {**self._attributes, ROWS: rows, "evenface.queue.rows": self.rows}
        span = self._calls.start_span("admission", attributes=attributes)
        try:
            return super().admit(rows, deadline, ready_in=ready_in)
        except EvenfaceError as error:
            fail(span, error.reason)
            raise
        finally:
            span.end()

    async def run(self, inputs: Arrays | Prepare, place: Place, requests: int = 1) -> Arrays:
        """Run the rows of an admitted call, as `Lane.run` does."""
        current = trace.get_current_span()
        if not current.is_recording():
            return await super().run(inputs, place, requests)
        attributes = {**self._attributes, ROWS: place.rows}
        queue = self._calls.start_span("queue", attributes=attributes)
        self._traced[place] = _Call(current, queue)
        try:
            return await super().run(inputs, place, requests)
        finally:
            del self._traced[place]
            if queue.is_recording():  # no batch has taken it
                fail(queue, "dropped")
                queue.end()

    def _form_batch(self, now: float) -> tuple[Sequence[Part], int]:
        parts, rows = super()._form_batch(now)
        requests = {part.entry.place: part.entry.requests for part in parts}
        calls = {place: self._traced[place] for place in requests if place in self._traced}
        if calls:
            self._batch = self._begin(calls, sum(requests.values()), rows)
        return parts, rows

    def _begin(self, calls: Mapping[Place, _Call], requests: int, rows: int) -> _Batch:
        """Start the span of a batch, with which the waiting of its calls ends."""
        attributes = {**self._attributes, ROWS: rows, "evenface.batch.requests": requests}
        links = [Link(call.span.get_span_context()) for call in calls.values()]
        span = self._batches.start_span("batch", Context(), attributes=attributes, links=links)
        for call in calls.values():
            if call.queue.is_recording():  # else others of its rows came before
                call.queue.add_link(span.get_span_context())
                call.queue.end()
        return _Batch(span, calls)

    def _settle(self, outcome: Outcome) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            self._end(batch, outcome)
        super()._settle(outcome)

    def _end(self, batch: _Batch, outcome: Outcome) -> None:
        """End a batch's span, with one for the session below it and in each call's trace."""
        for _, error in outcome.failures:
            fail(batch.span, type(error).__name__)
        if batch.began:
            self._note_session(self._batches, batch.span, batch, outcome)
        failed = {part.entry.place for part, _ in outcome.failures} if outcome.parts else set()
        for place, call in batch.calls.items():
            if batch.began and place not in failed:  # by its inputs, before the session
                link = Link(batch.span.get_span_context())
                self._note_session(self._calls, call.span, batch, outcome, link)
        batch.span.end()

    def _note_session(
        self, tracer: Tracer, parent: Span, batch: _Batch, outcome: Outcome, *links: Link
    ) -> None:
        span = tracer.start_span(
            "inference",
            trace.set_span_in_context(parent, Context()),
            attributes=self._attributes,
            links=links,
            start_time=batch.began,
        )
        if not outcome.parts:
            fail(span, type(outcome.failures[0][1]).__name__)
        span.end(batch.ended)

    def _timed(self, run: Callable[[Arrays], Arrays]) -> Callable[[Arrays], Arrays]:
        def timed(inputs: Arrays) -> Arrays:
            batch = self._batch  # one at a time
            if batch is None:
                return run(inputs)
            batch.began = batch.ended = time.time_ns()
            try:
                return run(inputs)
            finally:
                batch.ended = time.time_ns()

        return timed


def fail(span: Span, reason: str) -> None:
    """Note in a span of the server's own work what it ended with."""
    span.set_attribute(ERROR_TYPE, reason)
    span.set_status(StatusCode.ERROR)
