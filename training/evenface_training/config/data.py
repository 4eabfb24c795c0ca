"""The section `data`: where the images are and how they are read."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from evenface_training.config.section import Section


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


class DataConfig(Section):
    """Where the images are and how they are read. Relative paths start at the current directory.

    Attributes:
        faces: Folder of face images, searched recursively.
        nonfaces: Folder of other images; needed by `cnn` and `dbvae`, absent for `vae`.
        labels: CSV with a column `file`; its other columns describe the image.
        group_columns: Label columns that name groups, each reported by itself.
        group_key: What images have in common that must not be parted, such as the person.
        validation_fraction: Share of the images held out, chosen by a hash of their names or of
            what `group_key` finds.
        cache: Folder of the decoded arrays.
        max_broken_fraction: More unreadable files than this share are an error.
        crop: `center` cuts a square, `none` stretches.
        resample: The filter of the resize.
        horizontal_flip: Mirror every other training image, at random.
    """

    faces: Path
    nonfaces: Path | None = None
    labels: Path | None = None
    group_columns: tuple[str, ...] = ()
    group_key: GroupKey | None = None
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    cache: Path = Path(".cache/evenface")
    max_broken_fraction: float = Field(default=0.01, ge=0, le=1)
    crop: Literal["center", "none"] = "center"
    resample: Literal["bilinear", "lanczos", "box"] = "bilinear"
    horizontal_flip: bool = False
