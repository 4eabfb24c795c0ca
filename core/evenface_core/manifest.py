"""The manifest of a bundle: what a model is, can do, how good it is and where it comes from."""

import functools
import re
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from evenface_core.images import Preprocessing
from evenface_core.latents import Float32, Float64
from evenface_core.resampling import MAX_COUNT, LatentHistogram

SCHEMA_VERSION: Literal[1] = 1
FUNCTIONS = ("encode", "decode", "classify", "colorize")
CARD_FILE = "model_card.md"

FunctionName = Literal["encode", "decode", "classify", "colorize"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def check_name(name: str) -> str:
    """Return a model's name, version or file name if it has the allowed form.

    Raises:
        ValueError: It does not match [a-z0-9][a-z0-9._-]* or is longer than 100 characters.
    """
    if len(name) > 100 or not _NAME.fullmatch(name):  # noqa: PLR2004
        raise ValueError(f"'{name[:100]}' does not match [a-z0-9][a-z0-9._-]*")
    return name


Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


def _rounded(values: Float64) -> tuple[float, ...]:
    """The values to float32's seven digits, so that they are short in JSON."""
    return tuple(float(f"{value:.7g}") for value in values)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(_Part):
    """An input or output of a graph. A dimension is a length or a name such as "batch"."""

    name: str
    dtype: Literal["uint8", "float32", "float16"]
    shape: tuple[int | str, ...]


class Function(_Part):
    """A function of the model and the graph that computes it.

    Encode: `images` uint8 [batch, S, S, C] → `mean`, `log_variance` float32 [batch, D], and of a
    model that classifies also `logits` float32 [batch]; bundles of before have not got these.
    Decode: `latents` float32 [batch, D] (and `conditions` float32 [batch, K] where the model is
    conditional) → `images` uint8 [batch, S, S, C].
    Classify: `images` → `logits` float32 [batch].
    Colorize, of a model of grey images: `images` uint8 [batch, S, S, 1] → `painted` uint8
    [batch, S, S, 3].
    """

    graph: Name
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class FileEntry(_Part):
    """Size in bytes and SHA-256 (hexadecimal) of a file of the bundle."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class AggregatePosterior(_Part):
    """The Gaussian that fits the latents of a whole data set, q(z) = 1/N Σ_i q(z|x_i).

    Attributes:
        mean: D values.
        std: Standard deviation of each dimension, D values.
        factor: Lower triangle of the Cholesky factor of the covariance, rows of 1 to D values;
            None where only the diagonal is known. A decoder's latents are correlated, whatever
            the KL term wants, and samples that ignore it look blurred.
    """

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(ge=0)], ...]
    factor: tuple[tuple[float, ...], ...] | None = None

    @model_validator(mode="after")
    def _triangular(self) -> Self:
        if self.factor is not None:
            lengths = [len(row) for row in self.factor]
            if lengths != list(range(1, len(self.mean) + 1)):
                raise ValueError(f"factor must have rows of 1 to {len(self.mean)} values")
        return self

    @classmethod
    def fit(cls, mean: Float32, log_variance: Float32) -> Self:
        """Fit to the posteriors of N images by the law of total variance.

        Covariance = Cov_i(mean_i) + diag(mean_i(exp(log_variance_i))).

        Args:
            mean: float32 [N, D].
            log_variance: float32 [N, D].
        """
        within = np.exp(log_variance, dtype=np.float64).mean(axis=0)
        covariance = np.cov(mean, rowvar=False, bias=True, dtype=np.float64).reshape(
            within.size, within.size
        ) + np.diag(within)
        factor = np.linalg.cholesky(covariance)
        rows = (row[: number + 1] for number, row in enumerate(factor))
        return cls(
            mean=_rounded(mean.mean(axis=0, dtype=np.float64)),
            std=_rounded(np.sqrt(np.diag(covariance))),
            factor=tuple(_rounded(row) for row in rows),
        )

    def draw(self, noise: Float32) -> Float32:
        """Turn ε ~ N(0, 1), float32 [N, D], into latents: mean + factor · ε, or mean + std · ε."""
        mean, spread = self._arrays
        if spread.ndim == 1:
            return mean + noise * spread
        # Row by row: one product for all would round each row as its batch has it, and an item
        # must be the same in every batch.
        latents: Float32 = mean + np.matmul(noise[:, None], spread)[:, 0]
        return latents

    @functools.cached_property
    def _arrays(self) -> tuple[Float32, Float32]:
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        if self.factor is None:
            return mean, std
        factor = np.zeros((mean.size, mean.size), np.float32)
        for number, row in enumerate(self.factor):
            factor[number, : number + 1] = row
        return mean, factor.T.copy()


class TrainingHistogram(_Part):
    """A LatentHistogram as nested lists: edges D × (B + 1), counts D × B."""

    edges: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[Count, ...], ...]

    @classmethod
    def from_histogram(cls, histogram: LatentHistogram) -> Self:
        """Take the numbers of a histogram over."""
        return cls.model_validate(
            {"edges": histogram.edges.tolist(), "counts": histogram.counts.tolist()}
        )

    def to_histogram(self) -> LatentHistogram:
        """Return the histogram.

        Raises:
            InvalidInput: Its numbers make no histogram.
        """
        edges: Float64 = np.array(self.edges, np.float64)
        return LatentHistogram(edges, np.array(self.counts, np.int64))


class GroupQuality(_Part):
    """How the model treats one group of held-out faces.

    Attributes:
        column: The label column, such as "tone".
        value: The group's value there, such as "gray".
        count: Number of held-out faces.
        true_positive_rate: Share of them recognised as faces; None where it does not classify.
        share: Share of the group among the training faces.
        weighted_share: Share of the resampling weight it gets; None where there are no latents.
    """

    column: str
    value: str
    count: int = Field(ge=0, lt=2**32)
    true_positive_rate: Share | None = None
    share: Share
    weighted_share: Share | None = None


class AttributeQuality(_Part):
    """What an attribute vector is worth, and what it was found with.

    Attributes:
        auc: Area under the ROC curve of held-out faces by a linear discriminant of their latents;
            None where all of them are on one side.
        positives: Training faces that have the attribute.
        negatives: Training faces that have not; what is unknown is in neither.
        held_out_positives: Likewise held-out faces.
        held_out_negatives: Likewise held-out faces.
    """

    auc: Share | None = None
    positives: int = Field(ge=0, lt=2**32)
    negatives: int = Field(ge=0, lt=2**32)
    held_out_positives: int = Field(ge=0, lt=2**32)
    held_out_negatives: int = Field(ge=0, lt=2**32)


class Manifest(_Part):
    """Everything that a server must know of a model besides its graphs.

    Attributes:
        schema_version: Form of this file.
        name: The model's name.
        version: Its version.
        kind: What was trained.
        preprocessing: How images become the model's input.
        latent_size: D; 0 where the model has no latents.
        functions: What it can do, by name.
        conditions: Names of the inputs of a conditional decoder, in the graph's order.
        attribute_vectors: Directions in the latent space by attribute name, D values each; one
            length makes a typical face without the attribute a typical one with it.
        attribute_quality: What they are worth; bundles of before have none.
        aggregate_posterior: Where the training set's latents lie.
        training_histogram: Histogram of the training set's latents.
        decision_threshold: Probability from which an image counts as a face.
        quality: Figures measured on held-out images, by name.
        groups: Figures by group.
        provenance: Configuration, seed, data digest, revision, versions of libraries.
        files: Every other file of the bundle.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: Name
    kind: Literal["cnn", "vae", "dbvae"]
    preprocessing: Preprocessing
    latent_size: int = Field(ge=0, le=65536)
    functions: dict[FunctionName, Function] = Field(min_length=1)
    conditions: tuple[str, ...] = ()
    attribute_vectors: dict[str, tuple[float, ...]] = {}
    attribute_quality: dict[str, AttributeQuality] = {}
    aggregate_posterior: AggregatePosterior | None = None
    training_histogram: TrainingHistogram | None = None
    decision_threshold: Share = 0.5
    quality: dict[str, float] = {}
    groups: tuple[GroupQuality, ...] = ()
    provenance: dict[str, str] = {}
    files: dict[Name, FileEntry] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for label, length in self._latent_lengths():
            if length != self.latent_size:
                raise ValueError(
                    f"{label} has {length} dimensions, latent_size is {self.latent_size}"
                )
        twice = set(self.conditions) & set(self.attribute_vectors)
        if twice:
            raise ValueError(f"'{min(twice)}' is both a condition and an attribute vector")
        if "colorize" in self.functions and self.preprocessing.channels != 1:
            raise ValueError("functions has 'colorize', but the model's images have colours")
        if self.encode_classifies and "classify" not in self.functions:
            raise ValueError("encode gives logits, but functions has no 'classify'")
        strangers = set(self.attribute_quality) - set(self.attribute_vectors)
        if strangers:
            raise ValueError(f"attribute_quality has '{min(strangers)}', which has no vector")
        if self.training_histogram is not None:
            self.training_histogram.to_histogram()
        return self

    def _latent_lengths(self) -> list[tuple[str, int]]:
        lengths = [(f"attribute vector '{k}'", len(v)) for k, v in self.attribute_vectors.items()]
        if self.aggregate_posterior is not None:
            lengths.append(("aggregate_posterior.mean", len(self.aggregate_posterior.mean)))
            lengths.append(("aggregate_posterior.std", len(self.aggregate_posterior.std)))
        if self.training_histogram is not None:
            lengths.append(("training_histogram", len(self.training_histogram.edges)))
        return lengths

    @property
    def encode_classifies(self) -> bool:
        """Whether the graph of encode gives the logits of classify, too."""
        encode = self.functions.get("encode")
        return encode is not None and any(spec.name == "logits" for spec in encode.outputs)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that a caller may set: conditions, then attribute vectors."""
        return (*self.conditions, *self.attribute_vectors)
