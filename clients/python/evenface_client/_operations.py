"""What each method does, without a transport: generators that yield calls and are sent replies.

`Client` and `AsyncClient` differ only in how they run them: an operation yields some calls, is
sent their replies in the same order, and returns the result.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeAlias, TypeVar

import numpy as np
from evenface_core.errors import InvalidInput
from evenface_core.latents import require_finite
from evenface_core.resampling import weigh
from google.protobuf.message import Message
from numpy.typing import ArrayLike, NDArray

from evenface_client import _replies, _requests, results
from evenface_client._chunks import (
    ITEM_OVERHEAD,
    MESSAGE_OVERHEAD,
    Budget,
    Chunk,
    chunked,
    spans,
)
from evenface_client._inputs import Images
from evenface_client._requests import Attributes, Call, Noise, Target, Wanted, Weighing
from evenface_client.errors import InvalidRequest

T = TypeVar("T")
Reply = TypeVar("Reply", bound=Message)
Operation: TypeAlias = Generator[Iterable[Call[Any]], list[Any], T]

_FLOAT32 = 4
_POSTERIOR_TENSORS = 3  # mean, log-variance, sample
_MATRIX = 2
_RGB = 3


@dataclass(frozen=True)
class Served:
    """What a server serves, and its limits.

    Attributes:
        models: All models and versions.
        limits: Its limits.
    """

    models: tuple[results.ModelInfo, ...]
    limits: results.Limits

    def budget(self, reply_item: int = 0, extra: int = 0) -> Budget:
        """What a request may hold.

        Args:
            reply_item: Bytes that each item takes in the reply.
            extra: Bytes that request and reply hold besides the items.
        """
        payload = max(1, self.limits.max_message_bytes - MESSAGE_OVERHEAD - extra)
        fitting = payload // (reply_item + ITEM_OVERHEAD)
        return Budget(max(1, min(self.limits.max_items_per_request, fitting)), payload)

    def bulk_budget(self) -> Budget:
        """What a request on a bulk stream may hold, whichever the model."""
        return self.budget(_POSTERIOR_TENSORS * self.latent_bytes(Target()))

    def image_bytes(self, target: Target, *, color: bool = False) -> int:
        """Bytes of a decoded image; the most of all versions that the target may mean."""
        meant = self._meant(target)
        found = [m.image_size**2 * (_RGB if color else m.channels) for m in meant]
        return max(found, default=0)

    def latent_bytes(self, target: Target) -> int:
        """Bytes of a latent, as `image_bytes`."""
        return max((model.latent_size * _FLOAT32 for model in self._meant(target)), default=0)

    def _meant(self, target: Target) -> Iterator[results.ModelInfo]:
        return (m for m in self.models if target.model in ("", m.name))


class Knowledge:
    """What a client has learnt of its server: `ListModels` is asked once and remembered."""

    def __init__(self) -> None:
        self._served: Served | None = None

    def served(self) -> Operation[Served]:
        """What the server serves, asked for where it is not known."""
        if self._served is None:
            return (yield from self.refresh())
        return self._served

    def refresh(self) -> Operation[Served]:
        """Ask the server anew."""
        [reply] = yield from ask([_requests.list_models()])
        models = tuple(map(_replies.model_info, reply.models))
        self._served = Served(models, _replies.limits(reply))
        return self._served


def ask(calls: Iterable[Call[Reply]]) -> Operation[list[Reply]]:
    """Have calls run; several may be in flight at once."""
    replies: list[Reply] = yield calls
    return replies


def encode(
    knowledge: Knowledge, target: Target, images: Images, wanted: Wanted
) -> Operation[results.Encoding]:
    """Encode images, in as many requests as the limits ask for."""
    served = yield from knowledge.served()
    budget = served.budget(_POSTERIOR_TENSORS * served.latent_bytes(target))
    return (yield from _encode_chunks(target, chunked(images, budget), wanted))


def _encode_chunks(
    target: Target, chunks: Iterable[Chunk], wanted: Wanted
) -> Operation[results.Encoding]:
    replies = yield from ask(_requests.encode(target, chunk, wanted) for chunk in chunks)
    return _replies.encoding(_some(replies, "images"))


def classify(
    knowledge: Knowledge, target: Target, images: Images, threshold: float | None
) -> Operation[results.Classification]:
    """Classify images, in as many requests as the limits ask for."""
    served = yield from knowledge.served()
    chunks = chunked(images, served.budget())
    return (yield from _classify_chunks(target, chunks, threshold))


def _classify_chunks(
    target: Target, chunks: Iterable[Chunk], threshold: float | None
) -> Operation[results.Classification]:
    replies = yield from ask(_requests.classify(target, chunk, threshold) for chunk in chunks)
    return _replies.classification(_some(replies, "images"))


def decode(
    knowledge: Knowledge,
    target: Target,
    latents: ArrayLike,
    attributes: Attributes,
    *,
    color: bool,
) -> Operation[results.Decoded]:
    """Decode latents, in as many requests as the limits ask for."""
    rows = latent_rows(latents).astype(np.float32)
    named = _requests.attribute_messages(attributes, len(rows))
    served = yield from knowledge.served()
    largest = max((message.ByteSize() for message in named), default=0)
    item = max(served.image_bytes(target, color=color), rows.shape[1] * _FLOAT32 + largest)
    parts = spans(len(rows), served.budget(item).items)
    replies = yield from ask(
        _requests.decode(target, rows, part, named, color=color) for part in parts
    )
    return _replies.decoded(replies)


@dataclass(frozen=True)
class Draw:
    """What to sample; see `Client.sample`."""

    count: int
    noise: Noise
    temperature: float | None
    prior: results.Prior | None
    attributes: Attributes
    color: bool

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidRequest("count", f"{self.count} is below 1")
        if self.prior not in _requests.PRIORS:
            known = ", ".join(filter(None, _requests.PRIORS))
            raise InvalidRequest("prior", f"'{self.prior}' is unknown; known: {known}")


def sample(knowledge: Knowledge, target: Target, draw: Draw) -> Operation[results.Samples]:
    """Draw faces, in as many requests as the limits ask for."""
    named = _requests.attribute_messages(draw.attributes, draw.count)
    served = yield from knowledge.served()
    item = served.image_bytes(target, color=draw.color) + served.latent_bytes(target)
    calls = (
        _requests.sample(
            target, part, draw.noise, draw.temperature, draw.prior, named, color=draw.color
        )
        for part in spans(draw.count, served.budget(item).items)
    )
    return _replies.samples((yield from ask(calls)))


@dataclass(frozen=True)
class WeightSource:
    """What is weighted; exactly one.

    Attributes:
        images: The images.
        latents: float [N, D].
        logits: float [N].
    """

    images: Images | None = None
    latents: ArrayLike | None = None
    logits: ArrayLike | None = None

    def given(self, weighing: Weighing) -> NDArray[np.floating] | None:
        """Latents [N, D] or logits [N]; None where images are to be weighted.

        Raises:
            InvalidRequest: Not exactly one was passed, or it is not what the rule reads.
        """
        if sum(part is not None for part in (self.images, self.latents, self.logits)) != 1:
            raise InvalidRequest("images", "pass either images, latents or logits")
        if self.images is not None:
            return None
        what = "latents" if self.latents is not None else "logits"
        if what != weighing.reads:
            problem = f"rule '{weighing.rule or 'lab'}' reads {weighing.reads}; pass these"
            raise InvalidRequest(what, f"{problem} or images")
        return logit_values(self.logits) if self.latents is None else latent_rows(self.latents)


def resample_weights(
    knowledge: Knowledge,
    target: Target,
    source: WeightSource,
    weighing: Weighing,
) -> Operation[results.Weighting]:
    """Weight images, latents or logits; see `Client.resample_weights`."""
    images, given = source.images, source.given(weighing)
    if given is not None:
        return (yield from _weigh_rows(knowledge, target, given, weighing))
    served = yield from knowledge.served()
    latent = served.latent_bytes(target)
    chunks = chunked(
        images if images is not None else (), served.budget(_POSTERIOR_TENSORS * latent)
    )
    first = _some(list(islice(chunks, 2)), "images")
    size = 1 if weighing.reads == "logits" else latent // _FLOAT32
    if len(first) == 1 and first[0].fits(served.budget(extra=weighing.histogram_bytes(size))):
        [reply] = yield from ask([_requests.resample_weights(target, first[0], weighing)])
        return _replies.weighting(reply)
    if weighing.reads == "logits":
        decisions = yield from _classify_chunks(target, chain(first, chunks), None)
        rows, served_by = decisions.logits, decisions.model
    else:
        encoded = yield from _encode_chunks(target, chain(first, chunks), Wanted())
        rows, served_by = encoded.mean, encoded.model
    named = Target(served_by.name, served_by.version)
    return (yield from _weigh_rows(knowledge, named, rows, weighing))


def _weigh_rows(
    knowledge: Knowledge, target: Target, rows: NDArray[np.floating], weighing: Weighing
) -> Operation[results.Weighting]:
    """Weight latents [N, D] or logits [N]."""
    served = yield from knowledge.served()
    size = 1 if rows.ndim == 1 else rows.shape[1]
    if len(rows) <= served.budget(size * rows.itemsize, weighing.histogram_bytes(size)).items:
        [reply] = yield from ask([_requests.resample_weights(target, rows, weighing)])
        return _replies.weighting(reply)
    info = (yield from model(target)).info
    if rows.ndim == _MATRIX and size != info.latent_size:
        problem = f"{size} dimensions; {info.name} has {info.latent_size}"
        raise InvalidRequest("latents", problem)
    here = rows.reshape(len(rows), size)
    return _weigh_here(here, weighing, info.ref)


def _weigh_here(
    latents: NDArray[np.floating], weighing: Weighing, model: results.ModelRef
) -> results.Weighting:
    """Weight by the same code that the server runs: tempering must see all items at once."""
    given = {"bins": weighing.bins, "smoothing": weighing.smoothing}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    reference = weighing.edges if weighing.histogram is None else weighing.histogram
    try:
        histogram, weights = weigh(
            latents,
            reference,
            rule=weighing.rule or "lab",
            min_effective_sample_size=weighing.min_effective_sample_size,
            **options,
        )
    except InvalidInput as error:
        raise InvalidRequest(error.field, error.problem) from error
    return results.Weighting(
        weights=weights.values,
        histogram=histogram,
        effective_sample_size=weights.effective_sample_size,
        temper=weights.temper,
        log_total=weights.log_total,
        model=model,
    )


def models(knowledge: Knowledge) -> Operation[Served]:
    """List models and limits, and remember them."""
    return (yield from knowledge.refresh())


def model(target: Target) -> Operation[results.ModelDetails]:
    """Describe one model."""
    [reply] = yield from ask([_requests.get_model(target)])
    return _replies.model_details(reply)


def logit_values(logits: ArrayLike | None) -> NDArray[np.floating]:
    """Logits as [N], float32 or float64.

    Raises:
        InvalidRequest: They are no numbers, of another shape, or not finite.
    """
    values = np.asarray(logits)
    if values.dtype not in (np.float32, np.float64):
        raise InvalidRequest("logits", f"dtype {values.dtype}; pass float32 or float64")
    if values.ndim != 1 or len(values) == 0:
        raise InvalidRequest("logits", f"shape {values.shape} is not [N] with N ≥ 1")
    if not np.isfinite(values).all():
        wrong = int(np.argmin(np.isfinite(values)))
        raise InvalidRequest("logits", "holds NaN or infinity", index=wrong)
    return values


def latent_rows(latents: ArrayLike | None) -> NDArray[np.floating]:
    """Latents as [N, D], float32 or float64; a single one [D] becomes [1, D].

    Raises:
        InvalidRequest: They are no numbers, of another shape, or not finite.
    """
    rows = np.asarray(latents)
    if rows.dtype not in (np.float32, np.float64):
        raise InvalidRequest("latents", f"dtype {rows.dtype}; pass float32 or float64")
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != _MATRIX or 0 in rows.shape:
        raise InvalidRequest("latents", f"shape {rows.shape} is not [N, D] with N ≥ 1, D ≥ 1")
    try:
        require_finite(rows, field="latents")
    except InvalidInput as error:
        raise InvalidRequest("latents", error.problem, index=error.index) from error
    return rows


def _some(found: Sequence[T], field: str) -> Sequence[T]:
    if not found:
        raise InvalidRequest(field, "none were passed; pass at least one")
    return found
