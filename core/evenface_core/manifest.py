"""The manifest of a bundle: what a model is, can do, how good it is and where it comes from."""

import re
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from evenface_core.images import Preprocessing
from evenface_core.latents import Float64
from evenface_core.resampling import LatentHistogram

SCHEMA_VERSION: Literal[1] = 1
FUNCTIONS = ("encode", "decode", "classify")
CARD_FILE = "model_card.md"

FunctionName = Literal["encode", "decode", "classify"]

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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(_Part):
    """An input or output of a graph. A dimension is a length or a name such as "batch"."""

    name: str
    dtype: Literal["uint8", "float32", "float16"]
    shape: tuple[int | str, ...]


class Function(_Part):
    """A function of the model and the graph that computes it.

    Encode: `images` uint8 [batch, S, S, C] → `mean`, `log_variance` float32 [batch, D].
    Decode: `latents` float32 [batch, D] (and `conditions` float32 [batch, K] where the model is
    conditional) → `images` uint8 [batch, S, S, C].
    Classify: `images` → `logits` float32 [batch].
    """

    graph: Name
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class FileEntry(_Part):
    """Size in bytes and SHA-256 (hexadecimal) of a file of the bundle."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class AggregatePosterior(_Part):
    """Mean and standard deviation of the training set's latents, D values each."""

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(ge=0)], ...]


class TrainingHistogram(_Part):
    """A LatentHistogram as nested lists: edges D × (B + 1), counts D × B."""

    edges: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[int, ...], ...]

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
    count: int = Field(ge=0)
    true_positive_rate: Share | None = None
    share: Share
    weighted_share: Share | None = None


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
        attribute_vectors: Directions in the latent space by attribute name, D values each.
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
    def attributes(self) -> tuple[str, ...]:
        """The names that a caller may set: conditions, then attribute vectors."""
        return (*self.conditions, *self.attribute_vectors)
