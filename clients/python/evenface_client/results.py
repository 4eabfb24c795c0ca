"""What calls return: frozen values that hold numpy arrays. N = items, D = latent dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from evenface_core.resampling import LatentHistogram as Histogram
from numpy.typing import NDArray

from evenface_client.errors import EvenfaceClientError

__all__ = [
    "AttributeQuality",
    "Classification",
    "ClassifiedImage",
    "Decoded",
    "Edited",
    "EncodedImage",
    "Encoding",
    "GroupQuality",
    "Histogram",
    "Limits",
    "ModelDetails",
    "ModelInfo",
    "ModelRef",
    "Outcome",
    "Prior",
    "Samples",
    "Weighting",
]

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Prior = Literal["aggregate", "normal"]

T = TypeVar("T")


@dataclass(frozen=True)
class ModelRef:
    """The model that served a call.

    Attributes:
        name: Its name.
        version: Its version.
        manifest_digest: SHA-256 of its bundle's manifest, hexadecimal; another where a bundle was
            replaced under the same version. Empty with servers that do not say it.
    """

    name: str
    version: str
    manifest_digest: str


@dataclass(frozen=True, eq=False)
class Encoding:
    """Posteriors q(z|x) of N images.

    Attributes:
        mean: float32 [N, D].
        log_variance: float32 [N, D], log σ².
        sample: float32 [N, D], mean + σ · ε; None where no seed was given.
        logits: float32 [N], logit of "face"; None where not asked for, or with servers that do not
            know of it.
        probabilities: float32 [N], the logistic function of the logit; likewise.
        model: What served.
    """

    mean: Float32
    log_variance: Float32
    sample: Float32 | None
    logits: Float32 | None
    probabilities: Float32 | None
    model: ModelRef


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """The posterior of one image of a stream.

    Attributes:
        mean: float32 [D].
        log_variance: float32 [D], log σ².
        sample: float32 [D], mean + σ · ε; None where no seed was given.
        logit: Of "face"; None where not asked for.
        probability: The logistic function of the logit; likewise.
        model: What served.
    """

    mean: Float32
    log_variance: Float32
    sample: Float32 | None
    logit: float | None
    probability: float | None
    model: ModelRef


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images from latents.

    Attributes:
        images: uint8 [N, S, S, C] with the model's size S and channels C; in colour C is 3.
        model: What served.
    """

    images: UInt8
    model: ModelRef


@dataclass(frozen=True, eq=False)
class Edited:
    """Faces before and after some of their attributes were changed.

    Attributes:
        originals: uint8 [N, S, S, C], the N images encoded and decoded again, unchanged.
        images: uint8 [N, K, S, S, C], each of them at K strengths.
        latents: float32 [N, D], the means that both were decoded from.
        model: What served.
    """

    originals: UInt8
    images: UInt8
    latents: Float32
    model: ModelRef


@dataclass(frozen=True, eq=False)
class Samples:
    """New faces.

    Attributes:
        images: uint8 [N, S, S, C].
        latents: float32 [N, D], what was decoded, before attributes.
        model: What served.
    """

    images: UInt8
    latents: Float32
    model: ModelRef


@dataclass(frozen=True, eq=False)
class Classification:
    """Face or not, of N images.

    Attributes:
        logits: float32 [N], logit of "face".
        probabilities: float32 [N], the logistic function of the logit.
        is_face: bool [N], probability ≥ threshold.
        threshold: The probability that was used.
        model: What served.
    """

    logits: Float32
    probabilities: Float32
    is_face: Bool
    threshold: float
    model: ModelRef


@dataclass(frozen=True)
class ClassifiedImage:
    """Face or not, of one image of a stream.

    Attributes:
        logit: Of "face".
        probability: The logistic function of the logit.
        is_face: Whether probability ≥ threshold.
        threshold: The probability that was used.
        model: What served.
    """

    logit: float
    probability: float
    is_face: bool
    threshold: float
    model: ModelRef


@dataclass(frozen=True, eq=False)
class Weighting:
    """Resampling weights of N items.

    Attributes:
        weights: float64 [N], summing to 1; high for rare items.
        histogram: What the weights came from: `edges` float64 [D, B + 1], `counts` int64 [D, B].
        effective_sample_size: (Σ w)² / Σ w², between 1 and N.
        temper: The exponent t of w^t; 1 where nothing was tempered.
        log_total: Logarithm of the sum of the scores before they were normalised.
        model: What served.
    """

    weights: Float64
    histogram: Histogram
    effective_sample_size: float
    temper: float
    log_total: float
    model: ModelRef


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one image of a stream: a value or an error, never both.

    Attributes:
        index: The image's number, from 0.
        source: The path that it was read from; None where it was no path.
        value: The result; None after an error.
        error: Why there is none; None after success.
    """

    index: int
    source: str | None
    value: T | None
    error: EvenfaceClientError | None

    def unwrap(self) -> T:
        """The result.

        Raises:
            EvenfaceClientError: There is none.
        """
        if self.error is not None or self.value is None:
            raise self.error or EvenfaceClientError("an outcome without value and error")
        return self.value


@dataclass(frozen=True)
class Limits:
    """What the server takes in one request; clients cut larger inputs to fit.

    Attributes:
        max_items_per_request: Images or latents.
        max_message_bytes: Bytes of a message, request or reply.
        max_pixels_per_image: Width × height.
    """

    max_items_per_request: int
    max_message_bytes: int
    max_pixels_per_image: int


@dataclass(frozen=True)
class ModelInfo:
    """A served model.

    Attributes:
        name: Its name.
        version: Its version.
        is_default: Whether it serves calls that name no model.
        kind: "cnn", "vae" or "dbvae".
        image_size: S, height and width in pixels that images are resized to.
        channels: C, 3 for RGB, 1 for grey.
        latent_size: D; 0 where the model has no latents.
        functions: What it can do: "encode", "decode", "classify", "colorize".
        attributes: Names that `attributes` may use with it.
        decision_threshold: Probability from which an image counts as a face.
        quality: Figures measured on held-out images, by name.
        provenance: Where and how it was trained, by name.
        manifest_digest: As in `ModelRef`.
    """

    name: str
    version: str
    is_default: bool
    kind: str
    image_size: int
    channels: int
    latent_size: int
    functions: tuple[str, ...]
    attributes: tuple[str, ...]
    decision_threshold: float
    quality: Mapping[str, float]
    provenance: Mapping[str, str]
    manifest_digest: str

    @property
    def ref(self) -> ModelRef:
        """What replies say of it."""
        return ModelRef(self.name, self.version, self.manifest_digest)


@dataclass(frozen=True)
class GroupQuality:
    """How a model treats one group of held-out faces.

    Attributes:
        column: The label column, such as "tone".
        value: The group's value there.
        count: Number of held-out faces in the group.
        true_positive_rate: Share of them recognised as faces; None where it does not classify.
        share: Share of the group among the training faces.
        weighted_share: Share of the resampling weight it gets; None without latents.
    """

    column: str
    value: str
    count: int
    true_positive_rate: float | None
    share: float
    weighted_share: float | None


@dataclass(frozen=True)
class AttributeQuality:
    """What the vector of an attribute is worth.

    Attributes:
        name: The attribute.
        auc: Area under the ROC curve of held-out faces by a linear discriminant of their latents;
            None where all of them are on one side.
        positives: Training faces that have the attribute.
        negatives: Training faces that have not.
        held_out_positives: Held-out faces that have the attribute.
        held_out_negatives: Held-out faces that have not.
    """

    name: str
    auc: float | None
    positives: int
    negatives: int
    held_out_positives: int
    held_out_negatives: int


@dataclass(frozen=True, eq=False)
class ModelDetails:
    """A served model in full.

    Attributes:
        info: What a list of models shows of it.
        card: Its model card, Markdown.
        groups: Quality by group of held-out faces.
        aggregate_posterior: float64 [2, D], mean and standard deviation of the training set's
            latents; None where the model has none.
        training_histogram: Histogram of those latents; None where the model has none.
        attributes: What attribute vectors are worth, where the bundle says so.
    """

    info: ModelInfo
    card: str
    groups: tuple[GroupQuality, ...]
    aggregate_posterior: Float64 | None
    training_histogram: Histogram | None
    attributes: tuple[AttributeQuality, ...] = ()
