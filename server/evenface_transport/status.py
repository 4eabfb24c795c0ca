"""How a call ends: gRPC's status codes, and the error that carries one."""

from collections.abc import Sequence
from enum import IntEnum

Metadata = Sequence[tuple[str, str | bytes]]


class Code(IntEnum):
    """The status codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """Ends a call with a status that is not OK.

    Args:
        code: The status.
        text: What the caller is told.
        trailers: Further metadata; bytes for keys that end in "-bin".
        retry_after: Seconds after which a new try makes sense; None where none does.
    """

    def __init__(
        self, code: Code, text: str, trailers: Metadata = (), *, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.trailers = tuple(trailers)
        self.retry_after = retry_after
