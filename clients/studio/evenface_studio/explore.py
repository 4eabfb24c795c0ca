"""The tab Explore: what a model knows of one face, and faces near it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from aiohttp import web
from evenface_client import (
    Classification,
    Encoding,
    InvalidRequest,
    ModelDetails,
    Unsupported,
)
from numpy.typing import NDArray
from pydantic import Field

from evenface_studio.asked import (
    MAX_FACES,
    Drawing,
    Latent,
    asked_in_body,
    file_of,
    latents_of,
)
from evenface_studio.drawing import png, sheet
from evenface_studio.latents import spans
from evenface_studio.problems import StudioError
from evenface_studio.rarity import RARE, activity, rarity
from evenface_studio.service import details_of, model_of, service_of
from evenface_studio.told import nonsense, told

MAX_DIMENSIONS = 256  # that the page gets to see: the most active ones

Float32 = NDArray[np.float32]
AnswerT = TypeVar("AnswerT")


class Faces(Drawing):
    """Faces to be drawn from latents.

    Attributes:
        latents: Of each face.
        columns: Faces in a row of the reply.
    """

    latents: Annotated[list[Latent], Field(min_length=1, max_length=MAX_FACES)]
    columns: int = Field(default=1, ge=1, le=MAX_FACES)


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [
        web.post("/api/explore/face", _face),
        web.post("/api/explore/decode", _decode),
        web.get("/api/explore/space", _space),
    ]


async def _face(request: web.Request) -> web.Response:
    data, named = await file_of(request), model_of(request)
    service = service_of(request)
    encoding, judged, details = await asyncio.gather(
        _where_able(service.client.encode(data, **named)),
        _where_able(service.client.classify(data, **named)),
        details_of(request),
    )
    latent = None if encoding is None else _latent(encoding, details)
    return told(
        {
            "latents": None if latent is None else latent.tolist(),
            "face": None if judged is None else judgement(judged),
            "rarity": None if latent is None else rareness(details, latent),
        }
    )


def _latent(encoding: Encoding, details: ModelDetails) -> Float32:
    """The latent of the one image, as float32 [D] with D ≥ 1.

    Raises:
        StudioError: There is none, or one of another size than the model's, or no number.
    """
    size, mean = details.info.latent_size, encoding.mean
    if mean.shape != (1, size) or not size or not np.isfinite(mean).all():
        raise nonsense(f"no latent of {size} finite numbers")
    latent: Float32 = mean[0]
    return latent


async def _where_able(asking: Awaitable[AnswerT]) -> AnswerT | None:
    """The answer; None where the model lacks the function.

    Raises:
        StudioError: The file is no picture that the service takes.
    """
    try:
        return await asking
    except Unsupported:
        return None
    except InvalidRequest as error:
        raise StudioError(
            "This picture cannot be used",
            error.problem,
            "Choose another one: JPEG, PNG or WebP, not animated.",
        ) from error


async def _decode(request: web.Request) -> web.Response:
    asked = await asked_in_body(Faces, request)
    decoded = await service_of(request).client.decode(
        latents_of(asked.latents),
        attributes=asked.attributes or None,
        color=asked.color,
        **model_of(request),
    )
    return png(await asyncio.to_thread(sheet, decoded.images, asked.columns))


async def _space(request: web.Request) -> web.Response:
    return told(space(await details_of(request)))


def judgement(judged: Classification) -> Mapping[str, Any]:
    """Face or not, of the one image; ready for JSON.

    Raises:
        StudioError: There is no probability of it.
    """
    if judged.probabilities.shape != (1,) or judged.is_face.shape != (1,):
        raise nonsense("no probability of one image")
    return {
        "probability": float(judged.probabilities[0]),
        "threshold": judged.threshold,
        "is_face": bool(judged.is_face[0]),
    }


def rareness(details: ModelDetails, latent: Float32) -> Mapping[str, Any] | None:
    """How rare a face is, ready for JSON; None for a model without a histogram.

    Raises:
        StudioError: The histogram is of other latents.
    """
    histogram = details.training_histogram
    if histogram is None or histogram.total == 0:
        return None
    if len(histogram.counts) != len(latent):
        raise nonsense(f"a histogram of {len(histogram.counts)} dimensions for {len(latent)}")
    found = rarity(histogram, latent)
    return {
        "rare": found.rare,
        "expected": found.expected,
        "below": RARE,
        "total": histogram.total,
        "order": found.order[:MAX_DIMENSIONS].tolist(),
        "shares": found.shares[found.order[:MAX_DIMENSIONS]].tolist(),
    }


def space(details: ModelDetails) -> Mapping[str, Any]:
    """The dimensions of a model's latents, the most active ones first, ready for JSON.

    Each has its edges and counts where the model has a histogram; else its range follows from the
    aggregate posterior, or from the standard normal prior.
    """
    histogram = details.training_histogram
    if histogram is not None and histogram.total:
        order = np.argsort(-activity(histogram), kind="stable")[:MAX_DIMENSIONS]
        return {
            "total": histogram.total,
            "dimensions": [
                {
                    "index": int(index),
                    "edges": histogram.edges[index].tolist(),
                    "counts": histogram.counts[index].tolist(),
                }
                for index in order
            ],
        }
    return {
        "total": 0,
        "dimensions": [
            {"index": index, "edges": list(ends), "counts": []}
            for index, ends in enumerate(spans(details)[:MAX_DIMENSIONS])
        ],
    }
