"""What can go wrong, as the page shows it: a title, what happened, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web
from evenface_client import (
    AccessDenied,
    Cancelled,
    DeadlineExceeded,
    EvenfaceClientError,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
    Unsupported,
)
from evenface_core.errors import EvenfaceError

_INVALID = 400
_FAULT = 500


class StudioError(Exception):
    """An error that the page shows.

    Args:
        title: What is the matter, in a few words.
        detail: What happened, with field, value and limit where there are some.
        hint: What to do about it.
        status: Of HTTP.
        kind: For the page to tell errors apart.
    """

    def __init__(
        self, title: str, detail: str, hint: str, *, status: int = _INVALID, kind: str = "invalid"
    ) -> None:
        super().__init__(f"{title}: {detail}")
        self.problem = Problem(status, kind, title, detail, hint)


@dataclass(frozen=True)
class Problem:
    """An error as it goes to the page.

    Attributes:
        status: Of HTTP.
        kind: "unavailable", "overloaded", "invalid", "too-large", "unsupported", … .
        title: What is the matter, in a few words.
        detail: What happened.
        hint: What to do about it.
    """

    status: int
    kind: str
    title: str
    detail: str = ""
    hint: str = ""

    def response(self) -> web.Response:
        """The reply that tells the page."""
        error: Mapping[str, str] = {
            "kind": self.kind,
            "title": self.title,
            "detail": self.detail,
            "hint": self.hint,
        }
        return web.json_response({"error": error}, status=self.status)


_INPUT = Problem(
    _INVALID,
    "invalid",
    "This input cannot be used",
    hint="Change it as the message says, and try again.",
)
_OTHER_MODEL = "Choose another model at the top of the page."
_START = (
    "Start it with 'make serve', or check the address that evenface-studio was given. "
    "This page goes on by itself once the service is back."
)
_LET_IN = "Start evenface-studio again with the token or certificate that the service asks for."
_OF_CLIENT: tuple[tuple[type[EvenfaceClientError], Problem], ...] = (
    (InvalidRequest, _INPUT),
    (NotFound, Problem(404, "not-found", "That model is not served any more", hint=_OTHER_MODEL)),
    (Unsupported, Problem(422, "unsupported", "This model cannot do that", hint=_OTHER_MODEL)),
    (AccessDenied, Problem(403, "denied", "The service does not let us in", hint=_LET_IN)),
    (
        Overloaded,
        Problem(503, "overloaded", "The service is busy", hint="Try again in a few seconds."),
    ),
    (Unavailable, Problem(503, "unavailable", "The service does not answer", hint=_START)),
    (
        DeadlineExceeded,
        Problem(504, "late", "The service took too long", hint="Ask for less, or try again later."),
    ),
    (Cancelled, Problem(503, "cancelled", "The request was cancelled", hint="Try again.")),
)
_SERVICE_FAULT = Problem(502, "fault", "The service made a mistake")


def of_error(error: Exception, server: str = "the service's address") -> Problem | None:
    """The problem that an error is; None for one that nobody foresaw.

    Args:
        error: What was raised.
        server: The service's address, where it is known.
    """
    match error:
        case StudioError():
            return error.problem
        case EvenfaceClientError():
            return _of_client(error, server)
        case EvenfaceError():
            return replace(_INPUT, detail=str(error))
        case web.HTTPException():
            return _of_http(error)
    return None


def unforeseen() -> Problem:
    """What the page is told of an error that nobody foresaw; the log has the rest."""
    return Problem(
        _FAULT,
        "fault",
        "The studio made a mistake",
        "It could not answer this request.",
        "Look at what evenface-studio has printed, and try again.",
    )


def _of_client(error: EvenfaceClientError, server: str) -> Problem:
    found = next((form for kind, form in _OF_CLIENT if isinstance(error, kind)), None)
    if found is None:
        hint = f"Look for request {error.request_id} in the service's log."
        return replace(_SERVICE_FAULT, detail=str(error), hint=hint)
    # What gRPC says of a connection that it does not get is long, and helps nobody.
    unreached = isinstance(error, Unavailable) and "connect" in str(error)
    return replace(found, detail=f"Nothing answers at {server}." if unreached else str(error))


def _of_http(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Problem(
            error.status,
            "too-large",
            "This file is too large",
            error.text or error.reason,
            "Choose a smaller file, or save the picture with fewer pixels.",
        )
    return Problem(
        error.status,
        "invalid",
        error.reason,
        error.text or error.reason,
        "Load the page again.",
    )
