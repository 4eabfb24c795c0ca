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
from evenface_training.folders import BrokenFile, ImageFolder, open_folder, require_few_broken
from evenface_training.labels import read_labels

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

_HASH_RANGE = 2**64


@dataclass(frozen=True)
class SplitFolder:
    """A folder's images, split.

    Attributes:
        folder: All of them.
        train: int64 [T], rows of `folder.images` to learn from.
        validation: int64 [V], rows held out.
    """

    folder: ImageFolder
    train: Int64 = field(repr=False)
    validation: Int64 = field(repr=False)

    @property
    def images(self) -> UInt8:
        """uint8 [N, S, S, C], both parts."""
        return self.folder.images


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

    faces: SplitFolder
    nonfaces: SplitFolder | None
    labels: Mapping[str, tuple[str, ...]] = field(repr=False)
    group_columns: tuple[str, ...]
    conditions: Float32 = field(repr=False)
    digest: str

    @property
    def broken(self) -> dict[Path, tuple[BrokenFile, ...]]:
        """The files left out, by folder."""
        parts = [self.faces] if self.nonfaces is None else [self.faces, self.nonfaces]
        return {part.folder.folder: part.folder.broken for part in parts}

    def groups(self, rows: Int64) -> dict[str, NDArray[np.bool_]]:
        """Which of the given faces belong to each group.

        Args:
            rows: int64 [N], rows of `faces.images`.

        Returns:
            By name, such as `tone=gray`: bool [N]. Groups without a member are left out.
        """
        members: dict[str, NDArray[np.bool_]] = {}
        for column in self.group_columns:
            values = np.array(self.labels[column])[rows]
            for value in sorted(set(values.tolist()) - {""}):
                members[f"{column}={value}"] = values == value
        return members


def load_data(config: TrainingConfig) -> TrainingData:
    """Decode (or find decoded) all images of a run.

    Raises:
        DataError: A folder or the labels file cannot be used, or too many files are broken.
        TrainingError: The cache cannot be written.
    """
    faces = _load_folder(config.data.faces, config)
    nonfaces = None if config.data.nonfaces is None else _load_folder(config.data.nonfaces, config)
    labels: dict[str, tuple[str, ...]] = {}
    conditions, files = config.model.conditions, faces.folder.files
    if config.data.labels is not None:
        columns = (*config.data.group_columns, *conditions)
        labels = read_labels(config.data.labels, faces.folder.folder, files, columns)
    digests = [faces.folder.digest, *([nonfaces.folder.digest] if nonfaces else [])]
    return TrainingData(
        faces=faces,
        nonfaces=nonfaces,
        labels=labels,
        group_columns=config.data.group_columns,
        conditions=read_conditions(labels, conditions, files, config.data.labels),
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


def _load_folder(path: Path, config: TrainingConfig) -> SplitFolder:
    folder = open_folder(path, config.preprocessing, config.data.cache)
    require_few_broken(folder, config.data.max_broken_fraction)
    train, validation = _split(folder.files, config.data.validation_fraction)
    if len(train) == 0 or len(validation) == 0:
        raise DataError(
            f"{path}: {len(folder.files)} images leave {len(train)} for training and "
            f"{len(validation)} for validation; both need at least one"
        )
    return SplitFolder(folder, train, validation)


def _split(files: Sequence[str], fraction: float) -> tuple[Int64, Int64]:
    held = np.array([held_out(file, fraction) for file in files])
    return np.flatnonzero(~held), np.flatnonzero(held)
