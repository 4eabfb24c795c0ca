"""Reply messages to results, the replies of several chunks joined."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from evenface.v1 import common_pb2, face_service_pb2, model_service_pb2
from evenface_core import tensors
from evenface_core.errors import EvenfaceError
from numpy.typing import NDArray

from evenface_client import results
from evenface_client.errors import InternalServerError, TryAgain

_DTYPES: dict[int, type[np.generic]] = {
    common_pb2.DATA_TYPE_FLOAT32: np.float32,
    common_pb2.DATA_TYPE_FLOAT64: np.float64,
    common_pb2.DATA_TYPE_INT64: np.int64,
}
_FUNCTIONS: dict[int, str] = {
    model_service_pb2.MODEL_FUNCTION_ENCODE: "encode",
    model_service_pb2.MODEL_FUNCTION_DECODE: "decode",
    model_service_pb2.MODEL_FUNCTION_CLASSIFY: "classify",
    model_service_pb2.MODEL_FUNCTION_COLORIZE: "colorize",
}


class _Served(Protocol):
    """Every reply names what served it."""

    model: str
    version: str
    manifest_digest: str


def array(message: common_pb2.Tensor) -> NDArray[Any]:
    """Copy a tensor message to an array that the caller may write to.

    Raises:
        InternalServerError: The message contradicts itself.
    """
    try:
        dtype = _DTYPES[message.data_type]
        viewed = tensors.from_bytes(message.data, message.shape, dtype, field="reply")
    except (KeyError, EvenfaceError) as error:
        raise InternalServerError(f"the reply holds a broken tensor: {error}") from error
    return viewed.astype(dtype)


def served_by(replies: Sequence[_Served]) -> results.ModelRef:
    """What served all of the replies.

    Raises:
        TryAgain: A new version was taken into service between them, or a version's bundle was
            replaced, so that they do not belong together.
    """
    first, *others = dict.fromkeys(
        results.ModelRef(reply.model, reply.version, reply.manifest_digest) for reply in replies
    )
    if others:
        raise TryAgain(
            f"the model changed during the call, {_change(first, others[0])}",
            retry_after=0.0,
            reason="MODEL_CHANGED",
        )
    return first


def _change(before: results.ModelRef, after: results.ModelRef) -> str:
    names = tuple(f"{model.name}/{model.version}" for model in (before, after))
    if names[0] == names[1]:
        return f"{names[0]}: its bundle was replaced; try again"
    return f"{names[0]} to {names[1]}; name the version, or try again"


def encoding(replies: Sequence[face_service_pb2.EncodeResponse]) -> results.Encoding:
    """Join replies of Encode."""
    return results.Encoding(
        mean=_join([reply.mean for reply in replies]),
        log_variance=_join([reply.log_variance for reply in replies]),
        sample=_join_asked(replies, "sample"),
        logits=_join_asked(replies, "logits"),
        probabilities=_join_asked(replies, "probabilities"),
        model=served_by(replies),
    )


def encoded_images(reply: face_service_pb2.EncodeResponse) -> list[results.EncodedImage]:
    """Take a reply of EncodeStream apart."""
    whole = encoding([reply])
    nothing = [None] * len(whole.mean)
    rows = zip(
        whole.mean,
        whole.log_variance,
        nothing if whole.sample is None else whole.sample,
        nothing if whole.logits is None else whole.logits.tolist(),
        nothing if whole.probabilities is None else whole.probabilities.tolist(),
        strict=True,
    )
    return [results.EncodedImage(*row, whole.model) for row in rows]


def classification(
    replies: Sequence[face_service_pb2.ClassifyFaceResponse],
) -> results.Classification:
    """Join replies of ClassifyFace."""
    decisions = [flag for reply in replies for flag in reply.is_face]
    return results.Classification(
        logits=_join([reply.logits for reply in replies]),
        probabilities=_join([reply.probabilities for reply in replies]),
        is_face=np.array(decisions, np.bool_),
        threshold=replies[0].threshold,
        model=served_by(replies),
    )


def classified_images(
    reply: face_service_pb2.ClassifyFaceResponse,
) -> list[results.ClassifiedImage]:
    """Take a reply of ClassifyFaceStream apart."""
    whole = classification([reply])
    rows = zip(
        whole.logits.tolist(), whole.probabilities.tolist(), whole.is_face.tolist(), strict=True
    )
    return [results.ClassifiedImage(*row, whole.threshold, whole.model) for row in rows]


def decoded(replies: Sequence[face_service_pb2.DecodeResponse]) -> results.Decoded:
    """Join replies of Decode."""
    return results.Decoded(_pixels([reply.images for reply in replies]), served_by(replies))


def samples(replies: Sequence[face_service_pb2.SampleResponse]) -> results.Samples:
    """Join replies of Sample."""
    return results.Samples(
        images=_pixels([reply.images for reply in replies]),
        latents=_join([reply.latents for reply in replies]),
        model=served_by(replies),
    )


def weighting(reply: face_service_pb2.ResampleWeightsResponse) -> results.Weighting:
    """Read a reply of ResampleWeights."""
    return results.Weighting(
        weights=array(reply.weights),
        histogram=histogram(reply.histogram),
        effective_sample_size=reply.effective_sample_size,
        temper=reply.temper,
        log_total=reply.log_total,
        model=served_by([reply]),
    )


def histogram(message: common_pb2.LatentHistogram) -> results.Histogram:
    """Read a histogram.

    Raises:
        InternalServerError: Its numbers make no histogram.
    """
    try:
        return results.Histogram(array(message.edges), array(message.counts))
    except EvenfaceError as error:
        raise InternalServerError(f"the reply holds a broken histogram: {error}") from error


def limits(reply: model_service_pb2.ListModelsResponse) -> results.Limits:
    """Read the limits."""
    return results.Limits(
        max_items_per_request=reply.limits.max_items_per_request,
        max_message_bytes=reply.limits.max_message_bytes,
        max_pixels_per_image=reply.limits.max_pixels_per_image,
    )


def model_info(model: model_service_pb2.Model) -> results.ModelInfo:
    """Read a model; functions that this client does not know are left out."""
    return results.ModelInfo(
        name=model.name,
        version=model.version,
        is_default=model.is_default,
        kind=model.kind,
        image_size=model.image_size,
        channels=model.channels,
        latent_size=model.latent_size,
        functions=tuple(_FUNCTIONS[value] for value in model.functions if value in _FUNCTIONS),
        attributes=tuple(model.attributes),
        decision_threshold=model.decision_threshold,
        quality=dict(model.quality),
        provenance=dict(model.provenance),
        manifest_digest=model.manifest_digest,
    )


def model_details(reply: model_service_pb2.GetModelResponse) -> results.ModelDetails:
    """Read a model in full."""
    posterior, counted = reply.aggregate_posterior, reply.training_histogram
    return results.ModelDetails(
        info=model_info(reply.model),
        card=reply.model_card,
        groups=tuple(map(_group, reply.groups)),
        aggregate_posterior=array(posterior) if reply.HasField("aggregate_posterior") else None,
        training_histogram=histogram(counted) if reply.HasField("training_histogram") else None,
        attributes=tuple(map(_attribute, reply.attributes)),
    )


def _attribute(quality: model_service_pb2.AttributeQuality) -> results.AttributeQuality:
    return results.AttributeQuality(
        name=quality.name,
        auc=quality.auc if quality.HasField("auc") else None,
        positives=quality.positives,
        negatives=quality.negatives,
        held_out_positives=quality.held_out_positives,
        held_out_negatives=quality.held_out_negatives,
    )


def _group(group: model_service_pb2.GroupQuality) -> results.GroupQuality:
    known, weighted = group.HasField("true_positive_rate"), group.HasField("weighted_share")
    return results.GroupQuality(
        column=group.column,
        value=group.value,
        count=group.count,
        true_positive_rate=group.true_positive_rate if known else None,
        share=group.share,
        weighted_share=group.weighted_share if weighted else None,
    )


def _join(messages: Sequence[common_pb2.Tensor]) -> NDArray[Any]:
    parts = [array(message) for message in messages]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _join_asked(
    replies: Sequence[face_service_pb2.EncodeResponse],
    name: Literal["sample", "logits", "probabilities"],
) -> NDArray[Any] | None:
    """The same of a tensor that is there where it was asked for."""
    if not replies[0].HasField(name):
        return None
    return _join([getattr(reply, name) for reply in replies])


def _pixels(messages: Sequence[common_pb2.Images]) -> NDArray[np.uint8]:
    return np.concatenate([_raw(message.raw) for message in messages])


def _raw(raw: common_pb2.RawImages) -> NDArray[np.uint8]:
    try:
        pixels = np.frombuffer(raw.data, np.uint8)
        return pixels.reshape(-1, raw.height, raw.width, raw.channels)
    except ValueError as error:
        raise InternalServerError(f"the reply holds broken images: {error}") from error
