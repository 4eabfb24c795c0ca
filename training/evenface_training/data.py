"""The images of a run: faces, non-faces, their split and their labels."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from evenface_core.errors import DataError
from numpy.typing import NDArray

from evenface_training.conditions import Float32, read_conditions
from evenface_training.config import DataConfig, GroupKey, TrainingConfig
from evenface_training.sources.cache import (
    BrokenFile,
    DecodedImages,
    open_images,
    require_few_broken,
)
from evenface_training.sources.columns import LabelColumn, digest_labels
from evenface_training.sources.labels import read_labels
from evenface_training.sources.opening import open_source
from evenface_training.sources.settings import SourceSettings
from evenface_training.split import Bools, Key, held_out, hold_out

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

_UNKNOWN = ""


@dataclass(frozen=True)
class SplitImages:
    """Images of one source, split.

    Attributes:
        source: All images of the source, perhaps more than `train` and `validation` name.
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
        labels: Each label column as one value for each of `faces.images`; "" is unknown.
        group_columns: The columns that name groups.
        conditions: float32 [N, K], what a conditional model is told of each of `faces.images`.
        digest: SHA-256 over names, pixels, labels and split.
        images_digest: SHA-256 over names and pixels, which is all that checkpoints of before
            knew; None where they would have split the images otherwise.
    """

    faces: SplitImages
    nonfaces: SplitImages | None
    labels: Mapping[str, LabelColumn] = field(repr=False)
    group_columns: tuple[str, ...]
    conditions: Float32 = field(repr=False)
    digest: str
    images_digest: str | None

    @property
    def broken(self) -> dict[Path, tuple[BrokenFile, ...]]:
        """The files left out, by source."""
        parts = [self.faces] if self.nonfaces is None else [self.faces, self.nonfaces]
        return {part.source.path: part.source.broken for part in parts}

    def matches(self, digest: str) -> bool:
        """Whether a checkpoint with this digest learned from these data."""
        return digest in (self.digest, self.images_digest)

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
            for value in sorted(set(column.values) - {_UNKNOWN}):
                found = column.members(value)[rows]
                if found.any():
                    members[f"{name}={value}"] = found
        return members

    def group_numbers(self, column: str, rows: Int64) -> Int64:
        """The group of each of the given faces by one label column.

        Args:
            column: Its name.
            rows: int64 [N], rows of `faces.images`.

        Returns:
            int64 [N]: a number for each value, or -1 where it is unknown.
        """
        labels = self.labels[column]
        numbers = labels.codes[rows].astype(np.int64)
        numbers[labels.members(_UNKNOWN)[rows]] = -1
        return numbers


@dataclass(frozen=True)
class _Part:
    """The faces or the non-faces, before they are split."""

    name: str
    source: DecodedImages
    rows: Int64
    labels: Mapping[str, LabelColumn]

    def keys(self, group_key: GroupKey | None) -> Iterator[Key]:
        """What decides on which side each row lies."""
        for row in self.rows:
            file = self.source.files[row]
            group = _UNKNOWN if group_key is None else self._group(group_key, file, row)
            # An image by itself is told apart from one of the other part with the same name;
            # a group has both faces and non-faces.
            yield (_UNKNOWN, group) if group else (self.name, file)

    def partitions(self) -> Iterator[str]:
        column = self.source.partitions
        return (_UNKNOWN if column is None else column[row] for row in self.rows)

    def _group(self, group_key: GroupKey, file: str, row: int) -> str:
        if group_key.column is not None:
            column = self.labels.get(group_key.column)
            return _UNKNOWN if column is None else column[row]
        found = re.search(group_key.pattern or "", file)
        return found[found.re.groups and 1] or _UNKNOWN if found else _UNKNOWN

    def split(self, held: Bools) -> SplitImages:
        train, validation = self.rows[~held], self.rows[held]
        if len(train) == 0 or len(validation) == 0:
            raise DataError(
                f"{self.source.path}: {len(self.rows)} {self.name} leave {len(train)} for training "
                f"and {len(validation)} for validation; both need at least one"
            )
        return SplitImages(self.source, train, validation)


def load_data(config: TrainingConfig) -> TrainingData:
    """Decode (or find decoded) all images of a run.

    Raises:
        DataError: A source or the labels file cannot be used, or too many files are broken.
        TrainingError: The cache cannot be written.
    """
    parts = _open_parts(config)
    _require_columns(parts[0], config)
    held = _hold_out(parts, config.data)
    splits = [part.split(side) for part, side in zip(parts, held, strict=True)]
    images_digest = _images_digest(parts)
    return TrainingData(
        faces=splits[0],
        nonfaces=splits[1] if len(splits) > 1 else None,
        labels=parts[0].labels,
        group_columns=config.data.group_columns,
        conditions=_conditions(parts[0], config),
        digest=_digest(images_digest, parts, held),
        images_digest=images_digest if _is_by_name(parts, held, config.data) else None,
    )


def _open_parts(config: TrainingConfig) -> list[_Part]:
    data = config.data
    if data.source is not None:
        both = _open(data.source, config)
        return _told_apart(both, _labels(both, data), config)
    assert data.faces is not None  # noqa: S101 - the configuration has one of the two
    faces = _open(data.faces, config)
    parts = [_Part("faces", faces, np.arange(len(faces.files)), _labels(faces, data))]
    if data.nonfaces is not None:
        others = _open(data.nonfaces, config)
        rows = np.arange(len(others.files))
        parts.append(_Part("non-faces", others, rows, _nonface_labels(others, data)))
    return parts


def _open(settings: SourceSettings, config: TrainingConfig) -> DecodedImages:
    source = open_source(settings, config.preprocessing.size)
    images = open_images(source, config.preprocessing, config.data.cache)
    require_few_broken(images, config.data.max_broken_fraction)
    return images


def _labels(
    images: DecodedImages, data: DataConfig, *, required: bool = True
) -> dict[str, LabelColumn]:
    """What the source and the labels file know."""
    if data.labels is None:
        return dict(images.labels)
    added = read_labels(data.labels, images.path, images.files, required=required)
    twice = sorted(added.keys() & images.labels.keys())
    if twice:
        raise DataError(f"{data.labels}: column '{twice[0]}' is one that {images.path} has itself")
    return {**images.labels, **added}


def _nonface_labels(images: DecodedImages, data: DataConfig) -> Mapping[str, LabelColumn]:
    """As for the faces, where the non-faces are told by a column which faces they belong to."""
    column = data.group_key and data.group_key.column
    if column is None or column in images.labels or data.labels is None:
        return images.labels
    return _labels(images, data, required=False)


def _told_apart(
    images: DecodedImages, labels: Mapping[str, LabelColumn], config: TrainingConfig
) -> list[_Part]:
    """Faces and non-faces of one source."""
    wanted = config.data.face_label
    column = labels.get(wanted.column)
    if column is None:
        raise DataError(
            f"{images.path}: {_no_column(wanted.column, labels, 'data.face_label.column')}"
        )
    unknown = np.flatnonzero(column.members(_UNKNOWN))
    if len(unknown):
        raise DataError(
            f"{images.path}: {len(unknown)} images have no '{wanted.column}' "
            f"(data.face_label.column), as {images.files[unknown[0]]}"
        )
    faces = column.members(wanted.value)
    if not faces.any():
        raise DataError(
            f"{images.path}: no image has '{wanted.column}' = '{wanted.value}' (data.face_label); "
            f"values are {', '.join(sorted(column.values)[:10])}"
        )
    parts = [_Part("faces", images, np.flatnonzero(faces), labels)]
    if config.model.classifies:
        parts.append(_Part("non-faces", images, np.flatnonzero(~faces), labels))
    return parts


def _require_columns(faces: _Part, config: TrainingConfig) -> None:
    """Refuse settings that name what no label column or name has."""
    key = config.data.group_key
    wanted = dict.fromkeys(config.data.group_columns, "data.group_columns")
    wanted |= dict.fromkeys(config.model.conditions, "model.conditions")
    if config.resampling.enabled and config.resampling.group_column is not None:
        wanted[config.resampling.group_column] = "resampling.group_column"
    if key is not None and key.column is not None:
        wanted[key.column] = "data.group_key.column"
    for name, setting in wanted.items():
        if name not in faces.labels:
            where = config.data.labels or faces.source.path
            raise DataError(f"{where}: {_no_column(name, faces.labels, setting)}")
    if key is not None and key.pattern is not None and all(name for name, _ in faces.keys(key)):
        raise DataError(
            f"{faces.source.path}: data.group_key.pattern '{key.pattern}' finds nothing in any "
            f"name; the first is {faces.source.files[0]}"
        )


def _conditions(faces: _Part, config: TrainingConfig) -> Float32:
    """What is told of each face; zeros where a source of both has a non-face."""
    columns = config.model.conditions
    known = {column: faces.labels[column].texts()[faces.rows] for column in columns}
    files = [faces.source.files[row] for row in faces.rows]
    where = config.data.labels or faces.source.path
    conditions = np.zeros((len(faces.source.files), len(columns)), np.float32)
    conditions[faces.rows] = read_conditions(known, columns, files, where)
    return conditions


def _no_column(name: str, labels: Mapping[str, LabelColumn], setting: str) -> str:
    return f"no column '{name}' ({setting}); it has {', '.join(sorted(labels)) or 'none'}"


def _hold_out(parts: Sequence[_Part], data: DataConfig) -> list[Bools]:
    """Which rows of each part are held out; decided for all at once, for groups have both."""
    held = hold_out(
        [key for part in parts for key in part.keys(data.group_key)],
        np.concatenate([part.source.image_digests[part.rows] for part in parts]),
        [partition for part in parts for partition in part.partitions()],
        data.validation_fraction,
    )
    return np.split(held, np.cumsum([len(part.rows) for part in parts])[:-1])


def _is_by_name(parts: Sequence[_Part], held: Sequence[Bools], data: DataConfig) -> bool:
    """Whether each image is on the side that its own name says."""
    return data.source is None and all(
        side == held_out(part.source.files[row], data.validation_fraction)
        for part, sides in zip(parts, held, strict=True)
        for row, side in zip(part.rows, sides, strict=True)
    )


def _images_digest(parts: Sequence[_Part]) -> str:
    return hashlib.sha256(" ".join(part.source.digest for part in parts).encode()).hexdigest()


def _digest(images_digest: str, parts: Sequence[_Part], held: Sequence[Bools]) -> str:
    digest = hashlib.sha256(f"{images_digest} {digest_labels(parts[0].labels)}".encode())
    for part, sides in zip(parts, held, strict=True):
        digest.update(part.rows.astype("<i8").tobytes() + np.packbits(sides).tobytes())
    return digest.hexdigest()
