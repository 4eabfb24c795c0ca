"""What is known of the images besides their pixels: a CSV joined to them by file path."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from evenface_core.errors import DataError

Row = Mapping[str, str | None]  # None where a line ends early

_FILE_COLUMN = "file"


def read_labels(
    path: Path, folder: Path, files: Sequence[str], columns: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Read the labels of a folder's files.

    A line belongs to the file whose path ends in the line's `file`, compared by whole parts, so
    that the CSV may lie above the folder or elsewhere. Where several lines fit, the longest wins.

    Args:
        path: CSV with a column `file`.
        folder: Folder of the files.
        files: N paths below it.
        columns: Columns that must be there.

    Returns:
        Each column but `file`, as N values; "" where nothing is known.

    Raises:
        DataError: The CSV is missing or lacks a column, names a column or file twice, has a line
            that does not fit its columns, or fits no file.
    """
    header, rows = _read_csv(path)
    for column in (_FILE_COLUMN, *columns):
        if header.count(column) != 1:
            count = "two columns" if column in header else "no column"
            raise DataError(f"{path}: {count} '{column}'; it has {', '.join(header) or 'none'}")
    by_file = _index(path, rows)
    found = [_find(by_file, folder / file) for file in files]
    if not any(found):
        raise DataError(f"{path}: no line's `file` fits a file of {folder}")
    return {
        column: tuple((row.get(column) or "").strip() for row in found)
        for column in header
        if column != _FILE_COLUMN
    }


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [_checked(path, line) for line in reader]
            return list(reader.fieldnames or []), [row for row in rows if any(row.values())]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no readable CSV ({error})") from error


def _checked(path: Path, line: dict[Any, Any]) -> Row:
    surplus = line.pop(None, [])  # what csv finds beyond the last column
    if any(surplus):
        raise DataError(
            f"{path}: the line of {line.get(_FILE_COLUMN)} has more cells than there are columns; "
            "a value with a comma needs quotes"
        )
    return line


def _index(path: Path, rows: Sequence[Row]) -> dict[tuple[str, ...], Row]:
    by_file: dict[tuple[str, ...], Row] = {}
    for row in rows:
        file = (row[_FILE_COLUMN] or "").strip()
        if not file:
            known = ", ".join(filter(None, row.values()))
            raise DataError(f"{path}: a line without a `{_FILE_COLUMN}`: {known}")
        parts = PurePosixPath(file.replace("\\", "/")).parts
        if parts in by_file:
            raise DataError(f"{path}: two lines for {file}")
        by_file[parts] = row
    return by_file


def _find(by_file: Mapping[tuple[str, ...], Row], image: Path) -> Row:
    parts = image.absolute().parts
    for start in range(len(parts)):
        row = by_file.get(parts[start:])
        if row is not None:
            return row
    return {}
