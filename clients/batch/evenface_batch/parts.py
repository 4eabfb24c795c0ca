"""The rows of a part file: their columns, and how they become a table of Arrow.

Columns of schema version 1:

    id           string        what the item is called
    mean         list[D]       float16 or float32, fixed size; null where the item has an error
    logit        float32       of "face"; null with an error, and where the model does not classify
    probability  float32       sigmoid of the logit, or null
    weight       float64       resampling weight; null until the step `weights`, and with an error
    error        string        why the item has no mean, in one line; null where all is well
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evenface_batch.scores import Scores
from evenface_batch.text import shown

SCHEMA_VERSION: Literal[1] = 1

Precision = Literal["float16", "float32"]
Table: TypeAlias = Any  # pyarrow has no types


@dataclass(frozen=True)
class Form:
    """What the columns depend on.

    Attributes:
        latent_size: D.
        dtype: Of the means.
    """

    latent_size: int
    dtype: Precision

    @property
    def schema(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        """The schema of a part."""
        number = pa.float16() if self.dtype == "float16" else pa.float32()
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("mean", pa.list_(number, self.latent_size)),
                pa.field("logit", pa.float32()),
                pa.field("probability", pa.float32()),
                pa.field("weight", pa.float64()),
                pa.field("error", pa.string()),
            ],
            metadata={"evenface.schema_version": str(SCHEMA_VERSION)},
        )


@dataclass
class Rows:
    """Rows on their way into a part.

    Attributes:
        form: Of the part.
        ids: Of N items.
        means: float32 [N, D].
        logits: float32 [N]; NaN where there is none.
        errors: Of each item.
    """

    form: Form
    ids: list[str]
    means: NDArray[np.float32]
    logits: NDArray[np.float32]
    errors: list[str | None]

    @classmethod
    def empty(cls, ids: Sequence[str], errors: Sequence[str | None], form: Form) -> Self:
        """Rows without scores yet."""
        count = len(ids)
        means = np.zeros((count, form.latent_size), np.float32)
        return cls(form, list(ids), means, np.full(count, np.nan, np.float32), list(errors))

    def fill(self, places: Sequence[int], scores: Scores) -> None:
        """Put scores in place; a mean that the column's type cannot hold becomes an error."""
        self.means[places] = scores.means
        if scores.logits is not None:
            self.logits[places] = scores.logits
        with np.errstate(over="ignore", invalid="ignore"):
            usable = np.isfinite(scores.means.astype(self.form.dtype)).all(axis=1)
        for place, error, is_usable in zip(places, scores.errors, usable, strict=True):
            unusable = None if is_usable else f"mean not finite: as {self.form.dtype}"
            self.errors[place] = error or unusable

    def table(self) -> Table:
        """The rows as a table of `form.schema`, weights still null."""
        failed = np.array([error is not None for error in self.errors], np.bool_)
        unknown = failed | np.isnan(self.logits)
        with np.errstate(over="ignore", invalid="ignore"):
            probabilities = 1 / (1 + np.exp(-self.logits))
            numbers = self.means.astype(self.form.dtype).ravel()
        schema = self.form.schema
        return pa.Table.from_arrays(
            [
                pa.array([shown(name) for name in self.ids], pa.string()),
                pa.FixedSizeListArray.from_arrays(
                    pa.array(numbers, schema.field("mean").type.value_type),
                    type=schema.field("mean").type,
                    mask=pa.array(failed),
                ),
                pa.array(self.logits, mask=unknown),
                pa.array(probabilities, pa.float32(), mask=unknown),
                pa.nulls(len(self.ids), pa.float64()),
                pa.array(
                    [None if text is None else shown(text) for text in self.errors], pa.string()
                ),
            ],
            schema=schema,
        )
