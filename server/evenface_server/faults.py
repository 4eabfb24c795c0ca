"""What callers are told of errors, and what of them is counted and logged."""

import logging
import math
from functools import lru_cache
from typing import Final

from evenface_core.errors import DeadlineExpired, InvalidInput, QueueFull, ServiceUnavailable
from evenface_transport import Code, StatusError

from evenface_server.codec.status import (
    DETAILS,
    REASONS,
    Fault,
    fault_of,
    pushback_of,
    unexplained,
)
from evenface_server.metrics import Metrics

_LOG = logging.getLogger(__name__)
# Refusals that are worded alike are put together once.
_MAX_REFUSALS: Final = 256
_RETRY_STEP_SECONDS: Final = 0.01


class Faults:
    """Counts errors, logs those that nobody foresaw, and says what the caller is told."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        for reason in REASONS:  # from 0 on: of a counter that begins above it, no growth is seen
            metrics.rejections.labels(reason)

    def of(self, error: Exception) -> Fault:
        """Return the fault of an error."""
        fault = fault_of(error)
        self.count(fault.reason)
        if not fault.expected:
            _LOG.error("internal error", exc_info=error)
        return fault

    def count(self, reason: str, calls: int = 1) -> None:
        """Count an error whose fault is known, and how many calls ended with it."""
        self._metrics.rejections.labels(reason).inc(calls)

    def status_of(self, error: Exception) -> StatusError:
        """Return the status that a call ends with."""
        if isinstance(error, StatusError):
            return error
        if type(error) is QueueFull:
            return self.refusal(error)
        return _status_of(self.of(error), error)

    def refusal(self, error: QueueFull) -> StatusError:
        """Return the status of a call that is refused, as many are at once.

        The time to wait is rounded up to hundredths of a second.
        """
        self.count(error.reason)
        status = _refused(str(error), math.ceil(error.retry_after / _RETRY_STEP_SECONDS))
        # A new one, as an error that is raised again and again gathers tracebacks.
        return StatusError(status.code, status.text, status.trailers)

    def explain(self, error: StatusError) -> StatusError:
        """Give an error of the transport the details that those of the service have."""
        if any(key == DETAILS for key, _ in error.trailers):
            return error
        if error.code is Code.RESOURCE_EXHAUSTED and error.retry_after is not None:
            return self.status_of(QueueFull(error.text, retry_after=error.retry_after))
        if error.code is Code.RESOURCE_EXHAUSTED:
            return self.status_of(InvalidInput("request", error.text))
        if error.code is Code.DEADLINE_EXCEEDED:
            return self.status_of(DeadlineExpired(error.text))
        if error.code is Code.UNAVAILABLE:
            return self.status_of(ServiceUnavailable(error.text, retry_after=1.0))
        status = unexplained(error.code, error.text)
        return StatusError(error.code, error.text, ((DETAILS, status.SerializeToString()),))


def _status_of(fault: Fault, error: Exception) -> StatusError:
    status = fault.status
    trailers = ((DETAILS, status.SerializeToString()), *pushback_of(error))
    return StatusError(Code(status.code), status.message, trailers)


@lru_cache(_MAX_REFUSALS)
def _refused(text: str, steps: int) -> StatusError:
    error = QueueFull(text, retry_after=steps * _RETRY_STEP_SECONDS)
    return _status_of(fault_of(error), error)
