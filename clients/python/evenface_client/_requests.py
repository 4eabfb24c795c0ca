"""Arguments to request messages. Sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from evenface.v1 import common_pb2, face_service_pb2, model_service_pb2
from evenface_core import tensors
from evenface_core.resampling import MAX_BINS
from evenface_core.rules import RULES, Reads
from google.protobuf.message import Message
from numpy.typing import NDArray

from evenface_client._chunks import Chunk
from evenface_client._inputs import Place
from evenface_client.errors import InvalidRequest
from evenface_client.results import Histogram, Prior

Attributes: TypeAlias = Mapping[str, float] | Sequence[Mapping[str, float]] | None
Reply = TypeVar("Reply", bound=Message)

PRIORS: Mapping[Prior | None, face_service_pb2.SamplePrior.ValueType] = {
    None: face_service_pb2.SAMPLE_PRIOR_UNSPECIFIED,
    "normal": face_service_pb2.SAMPLE_PRIOR_STANDARD_NORMAL,
    "aggregate": face_service_pb2.SAMPLE_PRIOR_AGGREGATE_POSTERIOR,
}
_DATA_TYPES = {
    np.dtype(np.float32): common_pb2.DATA_TYPE_FLOAT32,
    np.dtype(np.float64): common_pb2.DATA_TYPE_FLOAT64,
    np.dtype(np.int64): common_pb2.DATA_TYPE_INT64,
}
_UINT64 = 2**64


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """A request and where it goes.

    Attributes:
        method: Name of the RPC.
        request: Its message.
        place: Which of the caller's items it holds, for errors.
    """

    method: str
    request: Message
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class Target:
    """The model that is asked.

    Attributes:
        model: Its name; empty for the server's default.
        version: Its version; empty for the newest.
    """

    model: str = ""
    version: str = ""


@dataclass(frozen=True)
class Noise:
    """Seeded noise: item i of a call depends on (seed, first_item + i) alone.

    Attributes:
        seed: 0 to 2⁶⁴ - 1.
        first_item: 0 to 2⁶⁴ - 1.

    Raises:
        InvalidRequest: One of them does not fit 64 bits.
    """

    seed: int
    first_item: int = 0

    def __post_init__(self) -> None:
        for name, value in (("seed", self.seed), ("first_item", self.first_item)):
            if not 0 <= value < _UINT64:
                raise InvalidRequest(name, f"{value} is outside 0 to 2^64 - 1")


class Wanted(NamedTuple):
    """What is wanted of images beside mean and log-variance.

    Attributes:
        noise: Of a sample of each posterior; None for no samples.
        probabilities: Whether to tell faces from other images, too.
    """

    noise: Noise | None = None
    probabilities: bool = False


@dataclass(frozen=True)
class Weighing:
    """How items are weighted.

    Attributes:
        rule: Name of the rule; empty for the server's default.
        bins: Bins per dimension where neither histogram nor edges are given.
        smoothing: The rule's smoothing.
        min_effective_sample_size: Share of N that tempering must reach.
        histogram: Of the population that rarity is judged by.
        edges: float64 [D, B + 1], bins to count the items in.
    """

    rule: str
    bins: int | None
    smoothing: float | None
    min_effective_sample_size: float
    histogram: Histogram | None
    edges: NDArray[np.float64] | None

    def __post_init__(self) -> None:
        if self.histogram is not None and self.edges is not None:
            raise InvalidRequest("edges", "cannot be combined with a histogram, which has its own")
        if self.bins is not None and not 2 <= self.bins <= MAX_BINS:  # noqa: PLR2004
            raise InvalidRequest("bins", f"{self.bins} is outside 2 to {MAX_BINS}")

    @property
    def reads(self) -> Reads:
        """What the rule reads; for an unknown one, which the server refuses, latents."""
        return RULES[self.rule].reads if self.rule in RULES else "latents"

    def histogram_bytes(self, size: int) -> int:
        """Bytes that the histogram of `size` dimensions takes in a message."""
        bins = self.bins or RULES[self.rule if self.rule in RULES else "lab"].bins
        if self.histogram is not None:
            bins = self.histogram.counts.shape[-1]
        elif self.edges is not None:
            bins = self.edges.shape[-1] - 1
        return size * (2 * bins + 1) * np.dtype(np.float64).itemsize


def images(chunk: Chunk) -> common_pb2.Images:
    """The images of a chunk as a message."""
    data = [item.data for item in chunk.items]
    shape = chunk.items[0].shape
    if shape is None:
        return common_pb2.Images(encoded=common_pb2.EncodedImages(data=map(bytes, data)))
    height, width, channels = shape
    raw = common_pb2.RawImages(data=b"".join(data), height=height, width=width, channels=channels)
    return common_pb2.Images(raw=raw)


def tensor(array: NDArray[np.generic]) -> common_pb2.Tensor:
    """An array as a message; float32, float64 or int64."""
    return common_pb2.Tensor(
        data=tensors.to_bytes(array), shape=array.shape, data_type=_DATA_TYPES[array.dtype]
    )


def encode_request(target: Target, chunk: Chunk, wanted: Wanted) -> face_service_pb2.EncodeRequest:
    """A request of Encode or EncodeStream."""
    request = face_service_pb2.EncodeRequest(
        model=target.model,
        version=target.version,
        images=images(chunk),
        with_probabilities=wanted.probabilities,
    )
    if wanted.noise is not None:
        request.sample_seed = wanted.noise.seed
        request.first_item = wanted.noise.first_item + chunk.start
    return request


def classify_request(
    target: Target, chunk: Chunk, threshold: float | None
) -> face_service_pb2.ClassifyFaceRequest:
    """A request of ClassifyFace or ClassifyFaceStream."""
    return face_service_pb2.ClassifyFaceRequest(
        model=target.model, version=target.version, images=images(chunk), threshold=threshold
    )


def encode(target: Target, chunk: Chunk, wanted: Wanted) -> Call[face_service_pb2.EncodeResponse]:
    """A call of Encode."""
    return Call("Encode", encode_request(target, chunk, wanted), chunk.place)


def classify(
    target: Target, chunk: Chunk, threshold: float | None
) -> Call[face_service_pb2.ClassifyFaceResponse]:
    """A call of ClassifyFace."""
    return Call("ClassifyFace", classify_request(target, chunk, threshold), chunk.place)


def decode(
    target: Target,
    latents: NDArray[np.float32],
    span: range,
    attributes: Sequence[common_pb2.Attributes],
    *,
    color: bool,
) -> Call[face_service_pb2.DecodeResponse]:
    """A call of Decode for a span of the latents."""
    request = face_service_pb2.DecodeRequest(
        model=target.model,
        version=target.version,
        latents=tensor(latents[span.start : span.stop]),
        attributes=_of_span(attributes, span),
        format=common_pb2.IMAGE_FORMAT_RAW,
        color=color,
    )
    return Call("Decode", request, Place(span.start))


def sample(
    target: Target,
    span: range,
    noise: Noise,
    temperature: float | None,
    prior: Prior | None,
    attributes: Sequence[common_pb2.Attributes],
    *,
    color: bool,
) -> Call[face_service_pb2.SampleResponse]:
    """A call of Sample for a span of the items."""
    request = face_service_pb2.SampleRequest(
        model=target.model,
        version=target.version,
        count=len(span),
        seed=noise.seed,
        first_item=noise.first_item + span.start,
        temperature=temperature,
        prior=PRIORS[prior],
        attributes=_of_span(attributes, span),
        format=common_pb2.IMAGE_FORMAT_RAW,
        color=color,
    )
    return Call("Sample", request, Place(span.start))


def resample_weights(
    target: Target, items: Chunk | NDArray[np.generic], weighing: Weighing
) -> Call[face_service_pb2.ResampleWeightsResponse]:
    """A call of ResampleWeights on images, latents [N, D] or logits [N]."""
    request = face_service_pb2.ResampleWeightsRequest(
        model=target.model,
        version=target.version,
        rule=weighing.rule,
        bins=weighing.bins,
        smoothing=weighing.smoothing,
        min_effective_sample_size=weighing.min_effective_sample_size,
    )
    place = Place()
    if isinstance(items, Chunk):
        request.images.CopyFrom(images(items))
        place = items.place
    elif items.ndim == 1:
        request.logits.CopyFrom(tensor(items))
    else:
        request.latents.CopyFrom(tensor(items))
    if weighing.histogram is not None:
        request.histogram.edges.CopyFrom(tensor(weighing.histogram.edges.astype(np.float64)))
        request.histogram.counts.CopyFrom(tensor(weighing.histogram.counts.astype(np.int64)))
    elif weighing.edges is not None:
        request.edges.CopyFrom(tensor(weighing.edges.astype(np.float64)))
    return Call("ResampleWeights", request, place)


def list_models() -> Call[model_service_pb2.ListModelsResponse]:
    """A call of ListModels."""
    return Call("ListModels", model_service_pb2.ListModelsRequest())


def get_model(target: Target) -> Call[model_service_pb2.GetModelResponse]:
    """A call of GetModel."""
    request = model_service_pb2.GetModelRequest(model=target.model, version=target.version)
    return Call("GetModel", request)


def attribute_messages(attributes: Attributes, count: int) -> list[common_pb2.Attributes]:
    """Attributes as messages: none, one for all items, or one per item.

    Raises:
        InvalidRequest: Their number does not fit, or a value is no number.
    """
    if attributes is None:
        return []
    each = [attributes] if isinstance(attributes, Mapping) else list(attributes)
    if len(each) not in (1, count):
        raise InvalidRequest("attributes", f"{len(each)} for {count} items; pass one or {count}")
    try:
        return [common_pb2.Attributes(values=dict(values)) for values in each]
    except (TypeError, ValueError) as error:
        raise InvalidRequest("attributes", f"not names with numbers ({error})") from error


def _of_span(
    attributes: Sequence[common_pb2.Attributes], span: range
) -> Sequence[common_pb2.Attributes]:
    return attributes if len(attributes) <= 1 else attributes[span.start : span.stop]
