"""What the engine is asked and what it answers: values between codec and engine.

Transport-free. Requests are as the caller sent them; the engine checks them. Those of the most
frequent calls are named tuples, which are made in half the time of a frozen dataclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from evenface_core.images import EncodedFormat
from evenface_core.resampling import LatentHistogram, Weights
from evenface_core.rules import Reads
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]


class Target(NamedTuple):
    """Which model a call means, and until when its answer is of use.

    Attributes:
        model: Name; empty for the default.
        version: Empty for the newest.
        deadline: `time.monotonic()` after which nobody waits; None for never.
    """

    model: str
    version: str
    deadline: float | None


class RawPixels(NamedTuple):
    """N images of one size as bytes, uint8 NHWC."""

    data: bytes
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class ImageFiles:
    """N images as JPEG, PNG or WebP files."""

    files: Sequence[bytes]


ImageSource = RawPixels | ImageFiles
AttributeValues = Sequence[Mapping[str, float]]


class Prior(Enum):
    """Where Sample draws its latents from."""

    BEST = "best"
    STANDARD_NORMAL = "standard_normal"
    AGGREGATE_POSTERIOR = "aggregate_posterior"


class EncodeCall(NamedTuple):
    """Images to latents; with a seed, a posterior sample too; and face or not, if asked for.

    `requests` is how many requests of a stream it stands for.
    """

    target: Target
    images: ImageSource
    sample_seed: int | None = None
    first_item: int = 0
    with_probabilities: bool = False
    requests: int = 1


@dataclass(frozen=True)
class DecodeCall:
    """Latents [N, D] to images, coloured or not; `file_format` None means raw pixels."""

    target: Target
    latents: NDArray[Any]
    attributes: AttributeValues
    file_format: EncodedFormat | None
    color: bool = False


@dataclass(frozen=True)
class SampleCall:
    """`count` new faces."""

    target: Target
    count: int
    seed: int
    first_item: int
    temperature: float
    prior: Prior
    attributes: AttributeValues
    file_format: EncodedFormat | None
    color: bool = False


class ClassifyCall(NamedTuple):
    """Face or not; `threshold` None means the model's own; `requests` as `EncodeCall` has it."""

    target: Target
    images: ImageSource
    threshold: float | None
    requests: int = 1


class HistogramParts(NamedTuple):
    """A histogram as it was sent: edges float64 [D, B + 1] and counts int64 [D, B]."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


class Given(NamedTuple):
    """What a rule reads, where it was sent in place of images: latents [N, D] or logits [N]."""

    what: Reads
    values: NDArray[Any]


@dataclass(frozen=True)
class WeightsCall:
    """Resampling weights of images, or of what was found out about them.

    Attributes:
        reference: A population's histogram, edges [D, B + 1] to count the items in, or None to
            weight the items against themselves.
        bins: Where there is no reference; None is the rule's own number.
    """

    target: Target
    source: ImageSource | Given
    reference: HistogramParts | NDArray[np.float64] | None
    rule: str
    bins: int | None
    smoothing: float
    min_effective_sample_size: float


class Served(NamedTuple):
    """Which model answered.

    Attributes:
        model: Its name.
        version: Its version.
        digest: SHA-256 of its bundle's manifest, hexadecimal.
    """

    model: str
    version: str
    digest: str


class Latents(NamedTuple):
    """Answer to `EncodeCall`: float32 [N, D] each, and logits [N]."""

    served: Served
    mean: Float32
    log_variance: Float32
    sample: Float32 | None
    logits: Float32 | None

    def part(self, start: int, stop: int) -> "Latents":
        """Return those from `start` until `stop`."""
        return Latents(
            self.served,
            self.mean[start:stop],
            self.log_variance[start:stop],
            None if self.sample is None else self.sample[start:stop],
            None if self.logits is None else self.logits[start:stop],
        )


@dataclass(frozen=True)
class Pictures:
    """Answer to `DecodeCall` and `SampleCall`.

    Attributes:
        images: uint8 [N, S, S, C], or the image files where a format was asked for.
        latents: float32 [N, D] before attributes.
    """

    served: Served
    images: UInt8 | list[bytes]
    latents: Float32


class Decisions(NamedTuple):
    """Answer to `ClassifyCall`: float32 [N], float32 [N], bool [N]."""

    served: Served
    logits: Float32
    probabilities: Float32
    is_face: NDArray[np.bool_]
    threshold: float

    def part(self, start: int, stop: int) -> "Decisions":
        """Return those from `start` until `stop`."""
        return Decisions(
            self.served,
            self.logits[start:stop],
            self.probabilities[start:stop],
            self.is_face[start:stop],
            self.threshold,
        )


@dataclass(frozen=True)
class Weighting:
    """Answer to `WeightsCall`."""

    served: Served
    weights: Weights
    histogram: LatentHistogram
