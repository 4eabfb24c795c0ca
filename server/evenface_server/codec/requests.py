"""Requests to the engine's calls."""

from collections.abc import Mapping, Sequence
from typing import Protocol, overload

import numpy as np
from evenface.v1 import common_pb2, face_service_pb2
from evenface_core.errors import InvalidInput
from evenface_core.resampling import DEFAULT_SMOOTHING
from numpy.typing import NDArray

from evenface_server.calls import (
    ClassifyCall,
    DecodeCall,
    EncodeCall,
    Given,
    HistogramParts,
    ImageSource,
    Prior,
    SampleCall,
    Target,
    WeightsCall,
)
from evenface_server.codec import tensors

_PRIORS: Mapping[int, Prior] = {
    face_service_pb2.SAMPLE_PRIOR_UNSPECIFIED: Prior.BEST,
    face_service_pb2.SAMPLE_PRIOR_STANDARD_NORMAL: Prior.STANDARD_NORMAL,
    face_service_pb2.SAMPLE_PRIOR_AGGREGATE_POSTERIOR: Prior.AGGREGATE_POSTERIOR,
}


class _Targeted(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...


def encode_call(request: face_service_pb2.EncodeRequest, deadline: float | None) -> EncodeCall:
    """Unpack an EncodeRequest; `deadline` is on the monotonic clock.

    Raises:
        InvalidInput: As all functions here: a field cannot be used.
    """
    return EncodeCall(
        target=_target(request, deadline),
        images=tensors.image_source(request.images),
        sample_seed=request.sample_seed if request.HasField("sample_seed") else None,
        first_item=request.first_item,
        with_probabilities=request.with_probabilities,
    )


def classify_call(
    request: face_service_pb2.ClassifyFaceRequest, deadline: float | None
) -> ClassifyCall:
    """Unpack a ClassifyFaceRequest."""
    return ClassifyCall(
        target=_target(request, deadline),
        images=tensors.image_source(request.images),
        threshold=request.threshold if request.HasField("threshold") else None,
    )


def decode_call(request: face_service_pb2.DecodeRequest, deadline: float | None) -> DecodeCall:
    """Unpack a DecodeRequest."""
    return DecodeCall(
        target=_target(request, deadline),
        latents=tensors.matrix(request.latents, "latents", np.float32),
        attributes=_Attributes(request.attributes),
        file_format=tensors.file_format(request.format),
        color=request.color,
    )


def sample_call(request: face_service_pb2.SampleRequest, deadline: float | None) -> SampleCall:
    """Unpack a SampleRequest."""
    if request.prior not in _PRIORS:
        raise InvalidInput("prior", f"unknown value {request.prior}", value=request.prior)
    return SampleCall(
        target=_target(request, deadline),
        count=request.count,
        seed=request.seed,
        first_item=request.first_item,
        temperature=request.temperature if request.HasField("temperature") else 1.0,
        prior=_PRIORS[request.prior],
        attributes=_Attributes(request.attributes),
        file_format=tensors.file_format(request.format),
        color=request.color,
    )


def weights_call(
    request: face_service_pb2.ResampleWeightsRequest, deadline: float | None
) -> WeightsCall:
    """Unpack a ResampleWeightsRequest."""
    return WeightsCall(
        target=_target(request, deadline),
        source=_weights_source(request),
        reference=_weights_reference(request),
        rule=request.rule,
        bins=request.bins if request.HasField("bins") else None,
        smoothing=request.smoothing if request.HasField("smoothing") else DEFAULT_SMOOTHING,
        min_effective_sample_size=request.min_effective_sample_size,
    )


def _target(request: _Targeted, deadline: float | None) -> Target:
    return Target(request.model, request.version, deadline)


class _Attributes(Sequence[Mapping[str, float]]):
    """Attributes as they were sent: counted before any is unpacked, as there may be millions."""

    def __init__(self, messages: Sequence[common_pb2.Attributes]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, float]: ...
    @overload
    def __getitem__(self, index: slice) -> "_Attributes": ...
    def __getitem__(self, index: int | slice) -> "Mapping[str, float] | _Attributes":
        found = self._messages[index]
        return found.values if isinstance(found, common_pb2.Attributes) else _Attributes(found)


def _weights_source(
    request: face_service_pb2.ResampleWeightsRequest,
) -> ImageSource | Given:
    kind = request.WhichOneof("source")
    if kind == "images":
        return tensors.image_source(request.images)
    if kind == "latents":
        latents = tensors.matrix(request.latents, "latents", np.float32, np.float64)
        return Given("latents", latents)
    if kind == "logits":
        return Given("logits", tensors.vector(request.logits, "logits", np.float32, np.float64))
    raise InvalidInput("source", "missing: set images, latents or logits")


def _weights_reference(
    request: face_service_pb2.ResampleWeightsRequest,
) -> HistogramParts | NDArray[np.float64] | None:
    kind = request.WhichOneof("reference")
    if kind == "histogram":
        return tensors.histogram(request.histogram)
    if kind == "edges":
        return tensors.matrix(request.edges, "edges", np.float64)
    return None
