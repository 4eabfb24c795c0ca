"""Errors as the page shows them."""

import pytest
from aiohttp import web
from evenface_client import (
    AccessDenied,
    DeadlineExceeded,
    InternalServerError,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
    Unsupported,
)
from evenface_core.errors import ConfigError, InvalidInput
from evenface_studio.problems import of_error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("images", "no picture"), 400, "invalid"),
        (InvalidInput("steps", "1 is below 2"), 400, "invalid"),
        (ConfigError("query: 'count' is 0"), 400, "invalid"),
        (AccessDenied("who are you?"), 403, "denied"),
        (NotFound("no model 'x'"), 404, "not-found"),
        (Unsupported("cannot decode"), 422, "unsupported"),
        (InternalServerError("oh", request_id="abc"), 502, "fault"),
        (Unavailable("refused"), 503, "unavailable"),
        (Overloaded("full"), 503, "overloaded"),
        (DeadlineExceeded("30 s"), 504, "late"),
        (web.HTTPRequestEntityTooLarge(max_size=10, actual_size=11), 413, "too-large"),
        (web.HTTPNotFound(), 404, "invalid"),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(
    error: Exception, status: int, kind: str
) -> None:
    problem = of_error(error, "faces:1")
    assert problem is not None
    assert (problem.status, problem.kind) == (status, kind)
    assert problem.title
    assert problem.hint.endswith(".")
    if not isinstance(error, web.HTTPException):
        assert problem.detail == str(error)


def test_a_fault_of_the_service_names_the_request_for_its_log() -> None:
    problem = of_error(InternalServerError("oh", request_id="abc"), "faces:1")
    assert problem is not None
    assert "abc" in problem.hint


def test_what_nobody_foresaw_is_no_problem_with_words() -> None:
    assert of_error(ZeroDivisionError("secret"), "faces:1") is None


def test_a_connection_that_cannot_be_had_is_told_in_plain_words() -> None:
    error = Unavailable("connections to all backends failing; last error: UNKNOWN: refused")
    problem = of_error(error, "faces:1")
    assert problem is not None
    assert problem.detail == "Nothing answers at faces:1."
