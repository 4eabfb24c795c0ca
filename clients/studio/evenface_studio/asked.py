"""What the page asks for, checked: JSON bodies, queries, files."""

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from aiohttp import web
from evenface_core.config import parse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evenface_studio.problems import StudioError
from evenface_studio.service import service_of

Float32 = NDArray[np.float32]

MAX_FACES = 256  # in one reply
MAX_LATENT = 65536  # that a bundle's latents have at most
# Of a body: a walk's two latents, each number with its comma. All others wait while it is parsed.
MAX_JSON_BYTES = 2 * MAX_LATENT * 24

_OF_SERVICE = {"model", "version"}  # which `service.model_of` reads
_BODY = "request"
_IN_JSON = {"attributes", "labels"}  # mappings, which a query has as text

AskedT = TypeVar("AskedT", bound="Asked")
Latent = Annotated[list[float], Field(min_length=1, max_length=MAX_LATENT)]


class Asked(BaseModel):
    """Base of all that is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Drawing(Asked):
    """How faces are to be drawn.

    Attributes:
        attributes: Strength by name.
        color: Whether a grey model's colorizer paints them.
    """

    attributes: dict[str, float] = {}
    color: bool = False


def asked_in_query(asked: type[AskedT], request: web.Request) -> AskedT:
    """Read what a query asks for, but for the model.

    Raises:
        ConfigError: A key or value is wrong.
        StudioError: A mapping is no JSON.
    """
    values = {
        key: _json(value, key) if key in _IN_JSON else value
        for key, value in request.query.items()
        if key not in _OF_SERVICE
    }
    return parse(asked, values, source="query")


async def asked_in_body(asked: type[AskedT], request: web.Request) -> AskedT:
    """Read what a JSON body asks for.

    Raises:
        ConfigError: A key or value is wrong.
        StudioError: The body is no JSON object, or longer than any that the page needs.
    """
    values = _json(await _body_of(request), _BODY)
    if not isinstance(values, Mapping):
        raise _no_json(_BODY, "expected an object")
    return parse(asked, values, source=_BODY)


async def file_of(request: web.Request) -> bytes:
    """The file that a request carries.

    Raises:
        StudioError: It is empty, or takes too long to arrive.
    """
    data = await _arrived(request)
    if not data:
        raise StudioError(
            "This file is empty", "It has no bytes.", "Choose a picture: JPEG, PNG or WebP."
        )
    return data


async def _body_of(request: web.Request) -> bytes:
    try:
        return await _arrived(request.clone(client_max_size=MAX_JSON_BYTES))
    except web.HTTPRequestEntityTooLarge as error:
        problem = f"it is longer than {MAX_JSON_BYTES:,} bytes"
        raise _no_json(_BODY, problem, error.status, "too-large") from error


async def _arrived(request: web.Request) -> bytes:
    """All that a request carries, once it is there."""
    seconds = service_of(request).settings.upload_seconds
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError as error:
        raise StudioError(
            "This took too long to arrive",
            f"It was not there after {seconds:g} s.",
            "Try again, or choose a smaller file.",
            status=408,
            kind="late",
        ) from error


def latents_of(rows: list[list[float]]) -> Float32:
    """Rows of latents as float32 [N, D].

    Raises:
        StudioError: They differ in length, or do not fit float32.
    """
    if len({len(row) for row in rows}) != 1:
        raise _no_latents("rows differ in length")
    with np.errstate(over="ignore"):  # found out below
        latents = np.array(rows, np.float32)
    if not np.isfinite(latents).all():
        raise _no_latents("a value does not fit float32")
    return latents


def _json(text: str | bytes, name: str) -> Any:  # noqa: ANN401 - whatever is in it
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_json(name, str(error)) from error


def _no_json(name: str, problem: str, status: int = 400, kind: str = "invalid") -> StudioError:
    return StudioError(
        "This request cannot be read",
        f"{name}: this JSON cannot be used: {problem}.",
        "Load the page again.",
        status=status,
        kind=kind,
    )


def _no_latents(problem: str) -> StudioError:
    return StudioError("These latents cannot be used", f"latents: {problem}.", "Start again.")
