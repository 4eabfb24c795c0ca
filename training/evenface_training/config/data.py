"""The section `data`: where the images are and how they are read."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from evenface_training.config.section import Section


class DataConfig(Section):
    """Where the images are and how they are read. Relative paths start at the current directory.

    Attributes:
        faces: Folder of face images, searched recursively.
        nonfaces: Folder of other images; needed by `cnn` and `dbvae`, absent for `vae`.
        labels: CSV with a column `file`; its other columns describe the image.
        group_columns: Columns of `labels` that name groups, each reported by itself.
        validation_fraction: Share of the files held out, chosen by a hash of their names.
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
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    cache: Path = Path(".cache/evenface")
    max_broken_fraction: float = Field(default=0.01, ge=0, le=1)
    crop: Literal["center", "none"] = "center"
    resample: Literal["bilinear", "lanczos", "box"] = "bilinear"
    horizontal_flip: bool = False
