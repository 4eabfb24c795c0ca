"""How a configuration names a source: a folder's path, or a mapping with a `kind`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from evenface_training.synthetic.config import SyntheticScenes

_FOLDER = "folder"
_KINDS = ("celeba", "fairface", "hdf5", "parquet", "synthetic", "utkface", "webdataset")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path


class CelebaSettings(_Settings):
    """CelebA in its authors' layout (see `celeba.CelebaSource`).

    Attributes:
        path: Folder of `img_align_celeba`, `list_attr_celeba.txt` and `list_eval_partition.txt`.
    """

    kind: Literal["celeba"]


class FairfaceSettings(_Settings):
    """FairFace (see `fairface.FairfaceSource`).

    Attributes:
        path: Folder of `fairface_label_train.csv`, `fairface_label_val.csv` and their images.
    """

    kind: Literal["fairface"]


class Hdf5Settings(_Settings):
    """The lab's HDF5 file (see `hdf5.Hdf5Source`).

    Attributes:
        path: The file, with the data sets `images` and `labels`.
        channel_order: Of the pixels in the file; the lab's are BGR.
    """

    kind: Literal["hdf5"]
    channel_order: Literal["bgr", "rgb"] = "bgr"


class ParquetSettings(_Settings):
    """Parquet files as Hugging Face writes them (see `parquet.ParquetSource`).

    Attributes:
        path: A file, or a folder searched recursively.
        image_column: The column that holds the image files.
    """

    kind: Literal["parquet"]
    image_column: str = Field(default="image", min_length=1)


class SyntheticSettings(SyntheticScenes):
    """Drawn faces and non-faces, no files (see `drawn.DrawnSource`).

    Attributes:
        faces: How many faces.
        nonfaces: How many non-faces.
    """

    kind: Literal["synthetic"]
    faces: int = Field(default=6000, ge=0, le=10_000_000)
    nonfaces: int = Field(default=6000, ge=0, le=10_000_000)


class UtkfaceSettings(_Settings):
    """UTKFace (see `utkface.UtkfaceSource`).

    Attributes:
        path: Folder of images named `age_gender_race_date.jpg`, searched recursively.
    """

    kind: Literal["utkface"]


class WebdatasetSettings(_Settings):
    """WebDataset shards (see `webdataset.WebdatasetSource`).

    Attributes:
        path: A tar file, or a folder searched recursively.
    """

    kind: Literal["webdataset"]


def _kind_of(value: object) -> str | None:
    if isinstance(value, str | Path):
        return _FOLDER
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return kind if kind in _KINDS else None


SourceSettings = Annotated[
    Annotated[Path, Tag(_FOLDER)]
    | Annotated[CelebaSettings, Tag("celeba")]
    | Annotated[FairfaceSettings, Tag("fairface")]
    | Annotated[Hdf5Settings, Tag("hdf5")]
    | Annotated[ParquetSettings, Tag("parquet")]
    | Annotated[SyntheticSettings, Tag("synthetic")]
    | Annotated[UtkfaceSettings, Tag("utkface")]
    | Annotated[WebdatasetSettings, Tag("webdataset")],
    Discriminator(
        _kind_of,
        custom_error_type="source_kind",
        custom_error_message=(
            f"give a folder's path, or a mapping with a kind, one of {', '.join(_KINDS)}"
        ),
    ),
]
"""A folder of images, or a source of another kind."""


def has_labels(settings: SourceSettings | None) -> bool:
    """Whether a source says more of its images than their pixels."""
    return not isinstance(settings, Path | None)
