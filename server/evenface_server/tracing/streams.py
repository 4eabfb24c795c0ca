"""A span for each request of a bulk stream, and errors in the spans of those who met them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from evenface_core.errors import QueueFull
from evenface_transport import Code, StatusError
from opentelemetry import trace
from opentelemetry.trace import Tracer

from evenface_server.codec.status import Fault
from evenface_server.faults import Faults
from evenface_server.streams import Begin, ReplyT, RequestT, Streams, each
from evenface_server.tracing.rpcs import mark_error


class TracedStreams(Streams):
    """Streams each request of which has a span, below that of the call.

    Args:
        max_requests: As `Streams` has it.
        tracer: Makes the spans.
    """

    def __init__(self, max_requests: int, tracer: Tracer) -> None:
        super().__init__(max_requests)
        self._tracer = tracer

    def answer(
        self,
        requests: AsyncIterator[RequestT],
        begin: Begin[RequestT, ReplyT],
        weigh: Callable[[RequestT], int],
    ) -> AsyncGenerator[ReplyT, None]:
        """Yield the replies to requests, as `Streams.answer` does; those with a span run alone."""

        async def traced(request: RequestT) -> ReplyT:
            with self._tracer.start_as_current_span(
                "request", record_exception=False, set_status_on_exception=False
            ):
                ((reply,),) = [await work for work in begin([request])]
                return reply

        own = each(traced) if trace.get_current_span().is_recording() else begin
        return super().answer(requests, own, weigh)


class TracedFaults(Faults):
    """Faults that the current span tells of."""

    def of(self, error: Exception) -> Fault:
        """Return the fault of an error."""
        fault = super().of(error)
        mark_error(trace.get_current_span(), Code(fault.status.code), fault.reason)
        return fault

    def refusal(self, error: QueueFull) -> StatusError:
        """Return the status of a call that is refused."""
        status = super().refusal(error)
        mark_error(trace.get_current_span(), status.code, error.reason)
        return status
