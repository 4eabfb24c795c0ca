"""CSV files, line by line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evenface_core.errors import DataError

FILE_COLUMN = "file"

Row = dict[str, str]


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the lines of a CSV that are not empty, reading no further than asked.

    Args:
        path: The CSV, UTF-8, with a header; it has a column `file`.
        columns: Other columns that must be there.

    Yields:
        By column the cell without the spaces around it; "" where the line ends early.

    Raises:
        DataError: The CSV is missing, lacks a column or has it twice, has a line with more cells
            than there are columns or without a `file`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_header(path, list(reader.fieldnames or []), (FILE_COLUMN, *columns))
            for line in reader:
                row = _checked(path, line)
                if any(row.values()):
                    yield _with_file(path, row)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no readable CSV ({error})") from error


def _check_header(path: Path, header: list[str], columns: Sequence[str]) -> None:
    for column in (*columns, *filter(None, header)):
        if header.count(column) != 1:
            count = "two columns" if column in header else "no column"
            raise DataError(f"{path}: {count} '{column}'; it has {', '.join(header) or 'none'}")


def _checked(path: Path, line: dict[Any, Any]) -> Row:
    surplus = line.pop(None, [])  # what csv finds beyond the last column
    if any(surplus):
        raise DataError(
            f"{path}: the line of {line.get(FILE_COLUMN)} has more cells than there are columns; "
            "a value with a comma needs quotes"
        )
    return {column: (cell or "").strip() for column, cell in line.items() if column}


def _with_file(path: Path, row: Row) -> Row:
    if not row[FILE_COLUMN]:
        known = ", ".join(filter(None, row.values()))
        raise DataError(f"{path}: a line without a `{FILE_COLUMN}`: {known}")
    return row
