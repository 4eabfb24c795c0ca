"""How a call ends: gRPC's status codes, and the error that carries one."""

from collections.abc import Sequence
from enum import IntEnum

Metadata = Sequence[tuple[str, str | bytes]]


class Alike:
    """Calls that are refused in the same words, for a moment.

    Args:
        length: Of the beginning of a request that the refusal rests on. Other calls whose header
            block is the same and whose request begins so may be refused in the same words.

    Attributes:
        calls: How many were refused; the transport counts.
        is_over: Whether others have to be judged anew; set by who refused the first.
    """

    __slots__ = ("calls", "is_over", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self.calls = 1
        self.is_over = False


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

    Attributes:
        alike: Other calls that may end with it, where it refuses a request for how it begins.
    """

    def __init__(
        self, code: Code, text: str, trailers: Metadata = (), *, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.trailers = tuple(trailers)
        self.retry_after = retry_after
        self.alike: Alike | None = None
