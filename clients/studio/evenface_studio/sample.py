"""The tab Sample: sheets of faces that do not exist."""

import asyncio
from typing import Literal

from aiohttp import web
from evenface_client import Samples
from pydantic import Field

from evenface_studio.asked import MAX_FACES, Drawing, asked_in_query
from evenface_studio.drawing import download, kept_scale, png, sheet
from evenface_studio.service import model_of, service_of

_COLUMNS = 8
_PAPER_PIXELS = 2  # between the faces of a sheet that is kept

_LAST_SEED = 2**53 - 1  # the last that a page can say exactly


class Sampling(Drawing):
    """A sheet of faces.

    Attributes:
        count: Faces.
        seed: Of the noise.
        temperature: Factor on the noise.
        prior: Where latents are drawn from; None where the model's best is wanted.
    """

    count: int = Field(default=16, ge=1, le=MAX_FACES)
    seed: int = Field(default=0, ge=0, le=_LAST_SEED)
    temperature: float = Field(default=1.0, ge=0, le=10)
    prior: Literal["aggregate", "normal"] | None = None


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [web.get("/api/sample/sheet", _sheet), web.get("/api/sample/file", _file)]


async def _sheet(request: web.Request) -> web.Response:
    """All faces in one row, for the page to cut."""
    _, drawn = await _drawn(request)
    return png(await asyncio.to_thread(sheet, drawn.images, len(drawn.images)))


async def _file(request: web.Request) -> web.Response:
    """The sheet as people keep it."""
    asked, drawn = await _drawn(request)
    scale = kept_scale(drawn.images)
    gap = _PAPER_PIXELS * scale
    made = await asyncio.to_thread(sheet, drawn.images, _COLUMNS, scale=scale, gap=gap)
    return download(made, f"{drawn.model.name}-{drawn.model.version}-seed-{asked.seed}.png")


async def _drawn(request: web.Request) -> tuple[Sampling, Samples]:
    asked = asked_in_query(Sampling, request)
    drawn = await service_of(request).client.sample(
        asked.count,
        seed=asked.seed,
        temperature=asked.temperature,
        prior=asked.prior,
        attributes=asked.attributes or None,
        color=asked.color,
        **model_of(request),
    )
    return asked, drawn
