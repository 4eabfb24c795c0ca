"""Spans of what the engine does with a call beside the lanes: the weighting."""

from typing import Any

from evenface_core.errors import EvenfaceError
from evenface_core.resampling import LatentHistogram, Weights
from numpy.typing import NDArray
from opentelemetry import trace
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AttributeValue

from evenface_server.calls import WeightsCall
from evenface_server.engine import Engine
from evenface_server.tracing.lanes import ROWS, fail


class TracedEngine(Engine):
    """An engine whose weightings have spans, where a call's own span is recorded.

    Args:
        tracer: Makes them.
        parts: As `Engine` has them.
        options: As `Engine` has them.
    """

    def __init__(self, tracer: Tracer, *parts: Any, **options: Any) -> None:  # noqa: ANN401 - Engine's
        super().__init__(*parts, **options)
        self._tracer = tracer

    async def _weigh_rows(
        self, rows: NDArray[Any], call: WeightsCall, options: dict[str, Any]
    ) -> tuple[LatentHistogram, Weights]:
        if not trace.get_current_span().is_recording():
            return await super()._weigh_rows(rows, call, options)
        attributes: dict[str, AttributeValue] = {ROWS: len(rows), "evenface.rule": options["rule"]}
        span = self._tracer.start_span("weighting", attributes=attributes)
        try:
            return await super()._weigh_rows(rows, call, options)
        except EvenfaceError as error:
            fail(span, error.reason)
            raise
        except BaseException as error:
            fail(span, type(error).__name__)
            raise
        finally:
            span.end()
