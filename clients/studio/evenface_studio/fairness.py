"""The tab Fairness: what the model card says of groups, one model or two side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web
from evenface_client import ModelDetails

from evenface_studio import groups
from evenface_studio.service import model_of, service_of
from evenface_studio.told import told

_FIGURES = (
    ("true_positive_rate", "True positive rate", "percent"),
    (
        "true_positive_rate_at_1_percent_false_positives",
        "True positive rate at 1 % false positives",
        "percent",
    ),
    (
        "degraded_true_positive_rate_at_1_percent_false_positives",
        "The same on a degraded copy",
        "percent",
    ),
    ("false_positive_rate", "False positive rate", "percent"),
    ("auc", "Area under the ROC curve", "number"),
)


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [web.get("/api/fairness", _compare)]


async def _compare(request: web.Request) -> web.Response:
    client = service_of(request).client
    named = [model_of(request)]
    if other := request.query.get("other"):
        named.append({"model": other, "version": request.query.get("other_version", "")})
    found = [await client.model(one["model"], one["version"]) for one in named]
    return told(compared(found))


def compared(models: Sequence[ModelDetails]) -> Mapping[str, Any]:
    """One model or two, ready for JSON."""
    return {
        "models": [_about(model) for model in models],
        "groups": [asdict(group) for group in groups.side_by_side(models)],
        "figures": [
            {"label": label, "form": form, "values": values}
            for key, label, form in _FIGURES
            if (values := [model.info.quality.get(key) for model in models]) != [None] * len(models)
        ],
        "small": groups.SMALL,
        "same_images": groups.same_images(models),
    }


def _about(model: ModelDetails) -> Mapping[str, Any]:
    over = groups.spread(model.groups)
    quality = model.info.quality
    return {
        "name": model.info.name,
        "version": model.info.version,
        "kind": model.info.kind,
        "classifies": "classify" in model.info.functions,
        "encodes": "encode" in model.info.functions,
        "over_groups": None if over is None else asdict(over),
        "held_out_faces": quality.get("held_out_faces"),
        "training_faces": quality.get("training_faces"),
        "effective_sample_size": quality.get("effective_sample_size"),
        "note": model.info.provenance.get("data_note", ""),
    }
