"""Manifests and limits to the messages of ModelService."""

from collections.abc import Mapping

import numpy as np
from evenface.v1 import model_service_pb2
from evenface_core import manifest as core
from evenface_core.bundle import Bundle

from evenface_server.codec.tensors import histogram_message, tensor
from evenface_server.intake import Limits

_FUNCTIONS: Mapping[core.FunctionName, model_service_pb2.ModelFunction.ValueType] = {
    "encode": model_service_pb2.MODEL_FUNCTION_ENCODE,
    "decode": model_service_pb2.MODEL_FUNCTION_DECODE,
    "classify": model_service_pb2.MODEL_FUNCTION_CLASSIFY,
    "colorize": model_service_pb2.MODEL_FUNCTION_COLORIZE,
}


def model(bundle: Bundle, *, is_default: bool) -> model_service_pb2.Model:
    """Pack the main facts of a model."""
    manifest = bundle.manifest
    return model_service_pb2.Model(
        name=manifest.name,
        version=manifest.version,
        is_default=is_default,
        kind=manifest.kind,
        image_size=manifest.preprocessing.size,
        channels=manifest.preprocessing.channels,
        latent_size=manifest.latent_size,
        functions=sorted(_FUNCTIONS[name] for name in manifest.functions),
        attributes=manifest.attributes,
        decision_threshold=manifest.decision_threshold,
        quality=manifest.quality,
        provenance=manifest.provenance,
        manifest_digest=bundle.digest,
    )


def limits(value: Limits) -> model_service_pb2.Limits:
    """Pack the server's limits."""
    return model_service_pb2.Limits(
        max_items_per_request=value.max_items,
        max_message_bytes=value.max_message_bytes,
        max_pixels_per_image=value.max_pixels,
    )


def get_model_response(
    bundle: Bundle, card: str, *, is_default: bool
) -> model_service_pb2.GetModelResponse:
    """Pack everything that is known of a model."""
    manifest = bundle.manifest
    posterior, histogram = manifest.aggregate_posterior, manifest.training_histogram
    return model_service_pb2.GetModelResponse(
        model=model(bundle, is_default=is_default),
        model_card=card,
        groups=[_group(group) for group in manifest.groups],
        aggregate_posterior=None
        if posterior is None
        else tensor(np.array([posterior.mean, posterior.std], np.float64)),
        training_histogram=None
        if histogram is None
        else histogram_message(histogram.to_histogram()),
        attributes=[_attribute(*item) for item in manifest.attribute_quality.items()],
    )


def _attribute(name: str, quality: core.AttributeQuality) -> model_service_pb2.AttributeQuality:
    return model_service_pb2.AttributeQuality(name=name, **quality.model_dump())


def _group(group: core.GroupQuality) -> model_service_pb2.GroupQuality:
    return model_service_pb2.GroupQuality(
        column=group.column,
        value=group.value,
        count=group.count,
        true_positive_rate=group.true_positive_rate,
        share=group.share,
        weighted_share=group.weighted_share,
    )
