"""What the page asks for, checked: JSON bodies, queries, files."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from aiohttp import web
from evenface_core.config import parse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evenface_studio.problems import StudioError

Float32 = NDArray[np.float32]

MAX_FACES = 256  # in one reply

AskedT = TypeVar("AskedT", bound="Asked")
Latent = Annotated[list[float], Field(min_length=1, max_length=65536)]


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
    """Read what a query asks for, but for the model, which `service.model_of` reads.

    Raises:
        ConfigError: A key or value is wrong.
        StudioError: `attributes` is no JSON.
    """
    values: dict[str, Any] = {
        key: value for key, value in request.query.items() if key not in {"model", "version"}
    }
    if "attributes" in values:
        values["attributes"] = _json(values["attributes"])
    return parse(asked, values, source="query")


async def asked_in_body(asked: type[AskedT], request: web.Request) -> AskedT:
    """Read what a JSON body asks for.

    Raises:
        ConfigError: A key or value is wrong.
        StudioError: The body is no JSON object.
    """
    values = _json(await request.text())
    if not isinstance(values, Mapping):
        raise _no_json("expected an object")
    return parse(asked, values, source="request")


async def file_of(request: web.Request) -> bytes:
    """The file that a request carries.

    Raises:
        StudioError: It is empty.
    """
    data = await request.read()
    if not data:
        raise StudioError(
            "This file is empty", "It has no bytes.", "Choose a picture: JPEG, PNG or WebP."
        )
    return data


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


def _json(text: str) -> Any:  # noqa: ANN401 - whatever is in it
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_json(str(error)) from error


def _no_json(problem: str) -> StudioError:
    return StudioError("This request cannot be read", f"JSON: {problem}.", "Load the page again.")


def _no_latents(problem: str) -> StudioError:
    return StudioError("These latents cannot be used", f"latents: {problem}.", "Start again.")
