"""The tab Morph: walks from one face to another, and along each dimension of one."""

import asyncio
from typing import Annotated, Literal

import numpy as np
from aiohttp import web
from evenface_client import Decoded, ModelDetails
from evenface_core.errors import InvalidInput
from evenface_core.latents import interpolate, interpolate_spherical, traverse
from numpy.typing import NDArray
from pydantic import Field

from evenface_studio.asked import MAX_FACES, Drawing, Latent, asked_in_body, latents_of
from evenface_studio.drawing import download, kept_scale, png, sheet, walk
from evenface_studio.latents import centre, spans
from evenface_studio.service import details_of, model_of, service_of

MAX_STEPS = 64

_GAP = 4

Float32 = NDArray[np.float32]


class Walk(Drawing):
    """A walk between two faces.

    Attributes:
        start: Latent of the first face.
        end: Latent of the last.
        steps: Faces, those at the ends among them.
        way: Around the average face, or straight.
    """

    start: Latent
    end: Latent
    steps: int = Field(default=9, ge=2, le=MAX_STEPS)
    way: Literal["spherical", "linear"] = "spherical"


class Traversal(Drawing):
    """A face, varied in some dimensions one by one.

    Attributes:
        latent: Of the face.
        dimensions: One row each.
        steps: Faces in a row.
    """

    latent: Latent
    dimensions: Annotated[list[int], Field(min_length=1, max_length=MAX_FACES)]
    steps: int = Field(default=7, ge=2, le=MAX_STEPS)


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [
        web.post("/api/morph/walk", _walk),
        web.post("/api/morph/strip", _strip),
        web.post("/api/morph/animation", _animation),
        web.post("/api/morph/traversal", _traversal),
    ]


async def _walk(request: web.Request) -> web.Response:
    """All steps in one row, for the page to cut."""
    images = (await _walked(request)).images
    return png(await asyncio.to_thread(sheet, images, len(images)))


async def _strip(request: web.Request) -> web.Response:
    images = (await _walked(request)).images
    scale = kept_scale(images)
    made = await asyncio.to_thread(sheet, images, len(images), scale=scale, gap=_GAP)
    return download(made, "morph.png")


async def _animation(request: web.Request) -> web.Response:
    images = (await _walked(request)).images
    made = await asyncio.to_thread(walk, images, scale=kept_scale(images))
    return download(made, "morph.gif")


async def _traversal(request: web.Request) -> web.Response:
    asked = await asked_in_body(Traversal, request)
    details = await details_of(request)
    rows = varied(details, latents_of([asked.latent])[0], asked.dimensions, asked.steps)
    images = (await _decoded(request, rows, asked)).images
    return png(await asyncio.to_thread(sheet, images, asked.steps))


async def _walked(request: web.Request) -> Decoded:
    asked = await asked_in_body(Walk, request)
    start, end = latents_of([asked.start, asked.end])
    if asked.way == "linear":
        steps = interpolate(start, end, asked.steps)
    else:
        middle = centre(await details_of(request))
        steps = interpolate_spherical(start, end, asked.steps, middle)
    return await _decoded(request, steps, asked)


async def _decoded(request: web.Request, latents: Float32, drawing: Drawing) -> Decoded:
    return await service_of(request).client.decode(
        latents,
        attributes=drawing.attributes or None,
        color=drawing.color,
        **model_of(request),
    )


def varied(details: ModelDetails, latent: Float32, dimensions: list[int], steps: int) -> Float32:
    """A face, varied over the range of each dimension; float32 [dimensions × steps, D].

    Raises:
        InvalidInput: The model has no such dimension.
    """
    ranges = spans(details)
    beyond = next((one for one in dimensions if not 0 <= one < len(ranges)), None)
    if beyond is not None:
        raise InvalidInput("dimensions", f"{beyond} is outside 0 to {len(ranges) - 1}")
    rows = [traverse(latent, one, np.linspace(*ranges[one], steps)) for one in dimensions]
    return np.concatenate(rows)
