"""What can go wrong in a call: one tree, for errors of the server and errors found before sending.

    EvenfaceClientError
    ├── InvalidRequest         an argument cannot be used (INVALID_ARGUMENT, or found here)
    ├── NotFound               no such model or version (NOT_FOUND)
    ├── Unsupported            the model or the server lacks the function (FAILED_PRECONDITION)
    ├── AccessDenied           the server does not let this caller in (UNAUTHENTICATED, …)
    ├── TryAgain               the same call may succeed later
    │   ├── Overloaded         too much for the server, or for this caller (RESOURCE_EXHAUSTED)
    │   └── Unavailable        no connection, loading or draining (UNAVAILABLE)
    ├── DeadlineExceeded       no answer within the timeout (DEADLINE_EXCEEDED)
    ├── Cancelled              the call was cancelled (CANCELLED)
    └── InternalServerError    the server's fault (INTERNAL and the rest)

An `InvalidRequest` that was found here, before anything was sent, has `code` None.
"""

import grpc


class EvenfaceClientError(Exception):
    """Base of every error that a client raises on purpose.

    Args:
        message: What went wrong, in one line.
        reason: The server's name of the cause, UPPER_SNAKE, for programs to compare.
        code: The gRPC status; None where the request was not sent.
        request_id: Id of the request, as it stands in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: grpc.StatusCode | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.request_id = request_id


class InvalidRequest(EvenfaceClientError):
    """An argument breaks a rule or a limit.

    Args:
        field: The argument, such as `images` or `temperature`.
        problem: What is wrong, with the value and the limit.
        index: Position of the item at fault among all that were passed.
        source: The file that the item came from.
        reason: As in the base class.
        code: As in the base class.
        request_id: As in the base class.
    """

    def __init__(
        self,
        field: str,
        problem: str,
        *,
        index: int | None = None,
        source: str | None = None,
        reason: str = "INVALID_INPUT",
        code: grpc.StatusCode | None = None,
        request_id: str = "",
    ) -> None:
        self.field = field
        self.problem = problem
        self.index = index
        self.source = source
        where = field if index is None else f"{field}[{index}]"
        where = f"{where} ({source})" if source else where
        super().__init__(
            f"{where}: {problem}" if where else problem,
            reason=reason,
            code=code,
            request_id=request_id,
        )


class NotFound(EvenfaceClientError):
    """No model of that name, or no such version of it, is served."""


class Unsupported(EvenfaceClientError):
    """The model lacks the function, or the server lacks the method."""


class AccessDenied(EvenfaceClientError):
    """The server, or something before it, does not accept this caller."""


class TryAgain(EvenfaceClientError):
    """An error that a later try may not meet.

    Args:
        message: What happened.
        retry_after: Seconds after which the server advises a new try; None where it does not say.
        reason: As in the base class.
        code: As in the base class.
        request_id: As in the base class.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        reason: str = "",
        code: grpc.StatusCode | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, reason=reason, code=code, request_id=request_id)
        self.retry_after = retry_after


class Overloaded(TryAgain):
    """The server has more work than it admits, or this caller is over its rate, at every retry."""


class Unavailable(TryAgain):
    """The server cannot be reached, is loading its models, or is draining."""


class DeadlineExceeded(EvenfaceClientError):
    """No answer came within the timeout."""


class Cancelled(EvenfaceClientError):
    """The call was cancelled, by its caller or by closing the client."""


class InternalServerError(EvenfaceClientError):
    """Something went wrong inside the server; its log has the request id."""
