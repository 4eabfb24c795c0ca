"""The errors that evenface raises on purpose, one tree for all parts.

Transport-free: the server maps each class to a gRPC status, a command line prints it in one line.

    EvenfaceError
    ├── InvalidInput          the caller sent something that cannot be used
    ├── ModelNotFound         no such model or version
    ├── FunctionUnsupported   the model exists, but lacks what was asked of it
    ├── QueueFull             more work than the queue admits; try again later
    ├── ServiceUnavailable    loading or draining; try elsewhere or later
    ├── DeadlineExpired       the caller's deadline passed while the work waited
    ├── Unauthenticated       the caller does not say who it is, or nobody known
    ├── PermissionDenied      the caller is known, and may not do this
    ├── RateLimited           the caller asks for more than it may in this time
    ├── OrderRefused          what an operator asks for cannot be done as things are
    ├── BundleError           a bundle is damaged, incomplete or of another schema
    ├── ConfigError           a setting is unknown, missing or out of range
    ├── DataError             a data folder or file cannot be used
    ├── TrainingError         training cannot go on
    ├── JobError              a scoring job cannot start or go on
    └── ExportError           a checkpoint cannot become a bundle
"""

from typing import ClassVar


class EvenfaceError(Exception):
    """Base of every error that evenface raises on purpose.

    Attributes:
        reason: A stable name of the cause, UPPER_SNAKE, for programs to compare.
    """

    reason: ClassVar[str] = "INTERNAL"


class InvalidInput(EvenfaceError):
    """The caller's input breaks a limit or a rule.

    Args:
        field: Path of the field as the caller knows it, such as `images.encoded.data`.
        problem: What is wrong, with the value and the limit.
        index: Position of the item at fault in a repeated field.
        value: The offending value, where it is short.
        limit: The limit that it breaks.
    """

    reason = "INVALID_INPUT"

    def __init__(
        self,
        field: str,
        problem: str,
        *,
        index: int | None = None,
        value: object = None,
        limit: object = None,
    ) -> None:
        self.field = field if index is None else f"{field}[{index}]"
        self.problem = problem
        self.index = index
        self.value = value
        self.limit = limit
        super().__init__(f"{self.field}: {problem}")


class ModelNotFound(EvenfaceError):
    """No model of that name, or no such version of it, is served."""

    reason = "MODEL_NOT_FOUND"


class FunctionUnsupported(EvenfaceError):
    """The model is served, but its bundle lacks the function asked for."""

    reason = "FUNCTION_UNSUPPORTED"


class _RetryLater(EvenfaceError):
    """An error that a later try may not meet.

    Args:
        message: What happened.
        retry_after: Seconds after which a new try makes sense.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(_RetryLater):
    """The queue holds as much work as it admits."""

    reason = "QUEUE_FULL"


class ServiceUnavailable(_RetryLater):
    """The server is loading its models or draining."""

    reason = "SERVICE_UNAVAILABLE"


class DeadlineExpired(EvenfaceError):
    """The caller's deadline passed before the work began."""

    reason = "DEADLINE_EXPIRED"


class Unauthenticated(EvenfaceError):
    """The caller shows no token, or none that is known."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(EvenfaceError):
    """The caller is known, but may not do what it asks for."""

    reason = "PERMISSION_DENIED"


class RateLimited(_RetryLater):
    """The caller is over the rate that it has been given."""

    reason = "RATE_LIMITED"


class OrderRefused(EvenfaceError):
    """What an operator asks for cannot be done as things are."""

    reason = "ORDER_REFUSED"


class BundleError(EvenfaceError):
    """A bundle is damaged, incomplete, or of a schema that this version cannot read."""

    reason = "BUNDLE_INVALID"


class ConfigError(EvenfaceError):
    """A setting is unknown, missing or out of range."""

    reason = "CONFIG_INVALID"


class DataError(EvenfaceError):
    """A data folder or file cannot be used."""

    reason = "DATA_INVALID"


class TrainingError(EvenfaceError):
    """Training cannot start or go on."""

    reason = "TRAINING_FAILED"


class JobError(EvenfaceError):
    """A scoring job cannot start or go on."""

    reason = "JOB_FAILED"


class ExportError(EvenfaceError):
    """A checkpoint cannot become a bundle."""

    reason = "EXPORT_FAILED"
