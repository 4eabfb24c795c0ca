"""The images of a run: faces, non-faces, their split and their labels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from evenface_core.errors import DataError
from numpy.typing import NDArray

from evenface_training.conditions import Float32, read_conditions
from evenface_training.config import TrainingConfig
from evenface_training.files import name_bytes
from evenface_training.sources.cache import (
    BrokenFile,
    DecodedImages,
    open_images,
    require_few_broken,
)
from evenface_training.sources.columns import LabelColumn
from evenface_training.sources.folders import FolderSource
from evenface_training.sources.labels import read_labels

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

_HASH_RANGE = 2**64


@dataclass(frozen=True)
class SplitImages:
    """A source's images, split.

    Attributes:
        source: All of them.
        train: int64 [T], rows of `images` to learn from.
        validation: int64 [V], rows held out.
    """

    source: DecodedImages
    train: Int64 = field(repr=False)
    validation: Int64 = field(repr=False)

    @property
    def images(self) -> UInt8:
        """uint8 [N, S, S, C], both parts."""
        return self.source.images


@dataclass(frozen=True)
class TrainingData:
    """All that a run learns from and is measured on.

    Attributes:
        faces: The faces.
        nonfaces: Everything else; None for a `vae`.
        labels: Each column of the labels file as one value a face; "" is unknown.
        group_columns: The columns that name groups.
        conditions: float32 [N, K], what a conditional model is told of each face.
        digest: SHA-256 over names and pixels of all images.
    """

    faces: SplitImages
    nonfaces: SplitImages | None
    labels: Mapping[str, LabelColumn] = field(repr=False)
    group_columns: tuple[str, ...]
    conditions: Float32 = field(repr=False)
    digest: str

    @property
    def broken(self) -> dict[Path, tuple[BrokenFile, ...]]:
        """The files left out, by source."""
        parts = [self.faces] if self.nonfaces is None else [self.faces, self.nonfaces]
        return {part.source.path: part.source.broken for part in parts}

    def groups(self, rows: Int64) -> dict[str, NDArray[np.bool_]]:
        """Which of the given faces belong to each group.

        Args:
            rows: int64 [N], rows of `faces.images`.

        Returns:
            By name, such as `tone=gray`: bool [N]. Groups without a member are left out.
        """
        members: dict[str, NDArray[np.bool_]] = {}
        for name in self.group_columns:
            column = self.labels[name]
            for value in sorted(set(column.values) - {""}):
                found = column.members(value)[rows]
                if found.any():
                    members[f"{name}={value}"] = found
        return members


def load_data(config: TrainingConfig) -> TrainingData:
    """Decode (or find decoded) all images of a run.

    Raises:
        DataError: A folder or the labels file cannot be used, or too many files are broken.
        TrainingError: The cache cannot be written.
    """
    faces = _load_folder(config.data.faces, config)
    nonfaces = None if config.data.nonfaces is None else _load_folder(config.data.nonfaces, config)
    labels: dict[str, LabelColumn] = {}
    conditions, files = config.model.conditions, faces.source.files
    if config.data.labels is not None:
        labels = read_labels(config.data.labels, faces.source.path, files)
        _require_columns(config.data.labels, labels, (*config.data.group_columns, *conditions))
    digests = [faces.source.digest, *([nonfaces.source.digest] if nonfaces else [])]
    known = {column: labels[column].texts() for column in conditions}
    return TrainingData(
        faces=faces,
        nonfaces=nonfaces,
        labels=labels,
        group_columns=config.data.group_columns,
        conditions=read_conditions(known, conditions, files, config.data.labels),
        digest=hashlib.sha256(" ".join(digests).encode()).hexdigest(),
    )


def held_out(file: str, fraction: float) -> bool:
    """Whether a file belongs to the validation part.

    It depends on the file's name alone, so adding files moves no other file to the other part.

    Args:
        file: Path below its folder, with forward slashes.
        fraction: Share of files to hold out.
    """
    number = int.from_bytes(hashlib.sha256(name_bytes(file)).digest()[:8], "big")
    return number < fraction * _HASH_RANGE


def _load_folder(path: Path, config: TrainingConfig) -> SplitImages:
    images = open_images(FolderSource(path), config.preprocessing, config.data.cache)
    require_few_broken(images, config.data.max_broken_fraction)
    train, validation = _split(images.files, config.data.validation_fraction)
    if len(train) == 0 or len(validation) == 0:
        raise DataError(
            f"{path}: {len(images.files)} images leave {len(train)} for training and "
            f"{len(validation)} for validation; both need at least one"
        )
    return SplitImages(images, train, validation)


def _require_columns(path: Path, labels: Mapping[str, LabelColumn], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise DataError(f"{path}: no column '{column}'; it has {known}")


def _split(files: Sequence[str], fraction: float) -> tuple[Int64, Int64]:
    held = np.array([held_out(file, fraction) for file in files])
    return np.flatnonzero(~held), np.flatnonzero(held)
