"""The section `data`: where the images are and how they are read."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evenface_training.config.section import Section
from evenface_training.sources.columns import label_text
from evenface_training.sources.settings import (
    Hdf5Settings,
    SourceSettings,
    SyntheticSettings,
    has_labels,
)


class GroupKey(Section):
    """What images have in common that are all held out or all learned from; one of the two.

    Attributes:
        column: A label column, such as one of persons or photographs.
        pattern: A regular expression; what it (or its first group) finds in an image's name.
    """

    column: str | None = None
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression ({error})") from error
        return pattern

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if (self.column is None) == (self.pattern is None):
            raise ValueError("give either column or pattern")
        return self


class FaceLabel(Section):
    """Which images of a source of both are faces.

    Attributes:
        column: A label column; every image has a value in it.
        value: Its value for a face; all others are non-faces.
    """

    column: str = "label"
    value: Annotated[str, BeforeValidator(label_text)] = "1"


class DataConfig(Section):
    """Where the images are and how they are read. Relative paths start at the current directory.

    A source is a folder, searched recursively, or a mapping with a `kind` (docs/data.md).

    Attributes:
        faces: Source of face images.
        nonfaces: Source of other images; needed by `cnn` and `dbvae`, absent for `vae`.
        source: One source of both, in place of `faces` and `nonfaces`.
        face_label: Which images of `source` are faces.
        labels: CSV with a column `file`; its other columns describe the image.
        group_columns: Label columns that name groups, each reported by itself.
        group_key: What images have in common that must not be parted, such as the person.
        validation_fraction: Share of the images held out, chosen by a hash of their names or of
            what `group_key` finds. A source with a partition of its own keeps that.
        cache: Folder of the decoded arrays.
        max_broken_fraction: More unreadable files than this share are an error.
        crop: `center` cuts a square, `none` stretches.
        resample: The filter of the resize.
    """

    faces: SourceSettings | None = None
    nonfaces: SourceSettings | None = None
    source: SourceSettings | None = None
    face_label: FaceLabel = FaceLabel()
    labels: Path | None = None
    group_columns: tuple[str, ...] = ()
    group_key: GroupKey | None = None
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    cache: Path = Path(".cache/evenface")
    max_broken_fraction: float = Field(default=0.01, ge=0, le=1)
    crop: Literal["center", "none"] = "center"
    resample: Literal["bilinear", "lanczos", "box"] = "bilinear"

    @model_validator(mode="after")
    def _faces_come_from_one_place(self) -> Self:
        if (self.faces is None) == (self.source is None):
            raise ValueError("give either faces (and nonfaces) or source, and null for the other")
        if self.source is not None and self.nonfaces is not None:
            raise ValueError("source holds the non-faces too; nonfaces must be null")
        if any(isinstance(part, Hdf5Settings) for part in (self.faces, self.nonfaces)):
            raise ValueError("kind hdf5 holds faces and non-faces; it can only be source")
        for name, part, other in (
            ("faces", self.faces, "nonfaces"),
            ("nonfaces", self.nonfaces, "faces"),
        ):
            if isinstance(part, SyntheticSettings) and (count := getattr(part, other)):
                raise ValueError(
                    f"{name}.{other} is {count}: with kind synthetic as {name} it must be 0 (or "
                    "give source both)"
                )
        return self

    @property
    def has_labels(self) -> bool:
        """Whether more is known of the faces than their pixels."""
        return self.labels is not None or has_labels(self.faces) or has_labels(self.source)
