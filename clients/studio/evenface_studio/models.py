"""What the page knows of models: the list for its picker, and one in full for its tabs."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from evenface_client import ModelDetails, ModelInfo

from evenface_studio.service import details_of, service_of
from evenface_studio.told import told


def routes() -> list[web.RouteDef]:
    """The routes of all that is no tab's own."""
    return [web.get("/api/models", _models), web.get("/api/model", _model)]


async def _models(request: web.Request) -> web.Response:
    service = service_of(request)
    served = await service.client.models()
    limits = await service.client.limits()  # known now
    return told(
        {
            "server": service.settings.server,
            "max_upload": service.settings.max_upload,
            "max_items": limits.max_items_per_request,
            "models": [summary(model) for model in served],
        }
    )


async def _model(request: web.Request) -> web.Response:
    return told(described(await details_of(request)))


def summary(model: ModelInfo) -> Mapping[str, Any]:
    """What the picker shows of a model, ready for JSON."""
    return {
        "name": model.name,
        "version": model.version,
        "is_default": model.is_default,
        "kind": model.kind,
        "image_size": model.image_size,
        "channels": model.channels,
        "latent_size": model.latent_size,
        "functions": list(model.functions),
        "attributes": list(model.attributes),
        "threshold": model.decision_threshold,
        "digest": model.manifest_digest,
    }


def described(details: ModelDetails) -> Mapping[str, Any]:
    """A model in full, ready for JSON, but for its card and histogram."""
    return {
        **summary(details.info),
        "quality": dict(details.info.quality),
        "provenance": dict(details.info.provenance),
        "groups": [vars(group) for group in details.groups],
        "attribute_quality": [vars(quality) for quality in details.attributes],
        "has_aggregate_posterior": details.aggregate_posterior is not None,
        "has_histogram": details.training_histogram is not None,
    }
