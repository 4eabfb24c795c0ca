"""What is known of images besides their pixels and source: a CSV joined to them by file path."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from evenface_core.errors import DataError

from evenface_training.sources.columns import Int64, LabelColumn, LabelTable
from evenface_training.sources.tables import FILE_COLUMN, read_rows

_NOT_THERE = -1


def read_labels(
    path: Path, folder: Path, files: Sequence[str], *, required: bool = True
) -> dict[str, LabelColumn]:
    """Read the labels of a source's images.

    A line belongs to the image whose path ends in the line's `file`, compared by whole parts, so
    that the CSV may lie above the folder or elsewhere. Where several lines fit, the longest wins.

    Args:
        path: CSV with a column `file`.
        folder: Path of the source.
        files: N names below it.
        required: Whether it is an error if no line fits an image.

    Returns:
        Each column but `file`, as N values; "" where nothing is known.

    Raises:
        DataError: The CSV cannot be read (see `tables.read_rows`), names a file twice, or fits
            no image where it must.
    """
    table = LabelTable()
    lines: dict[tuple[str, ...], int] = {}
    for row in read_rows(path):
        file = row.pop(FILE_COLUMN)
        parts = PurePosixPath(file.replace("\\", "/")).parts
        if parts in lines:
            raise DataError(f"{path}: two lines for {file}")
        lines[parts] = len(lines)
        table.append(row)
    found = _find_all(lines, folder, files)
    if required and (found == _NOT_THERE).all():
        raise DataError(f"{path}: no line's `file` fits a file of {folder}")
    return {name: column.joined(found) for name, column in table.columns().items()}


def _find_all(lines: Mapping[tuple[str, ...], int], folder: Path, files: Sequence[str]) -> Int64:
    above = folder.absolute().parts
    found = ((*above, *PurePosixPath(file).parts) for file in files)
    return np.fromiter((_find(lines, parts) for parts in found), np.int64, len(files))


def _find(lines: Mapping[tuple[str, ...], int], parts: tuple[str, ...]) -> int:
    for start in range(len(parts)):
        line = lines.get(parts[start:])
        if line is not None:
            return line
    return _NOT_THERE
