"""Texts of Parquet files that are read without taking more memory than the file is worth.

A text that comes often stands in a file once, and takes its whole length for each row as soon as it
is decoded: half a megabyte can hold gigabytes. So texts are looked at in the form of dictionaries.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evenface_studio.problems import StudioError

MOST_TEXT = 4096  # bytes of an id or an error, as of a path
_SLACK = 2**20  # bytes of a row group that are no texts


def is_text(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Say whether a column of this type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def are_long(parquet: Any, name: str) -> bool:  # noqa: ANN401
    """Whether the texts of a column must be long, as far as a file tells before they are read.

    Args:
        parquet: A `pyarrow.parquet.ParquetFile`.
        name: Of the column.
    """
    for group in range(parquet.metadata.num_row_groups):
        facts = parquet.metadata.row_group(group)
        columns = (facts.column(place) for place in range(facts.num_columns))
        size = sum(one.total_uncompressed_size for one in columns if one.path_in_schema == name)
        if size > MOST_TEXT * facts.num_rows + _SLACK:
            return True
    return False


def longest(column: Any) -> int:  # noqa: ANN401
    """Bytes of the longest text of an Arrow array in the form of a dictionary; 0 without any."""
    return int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0)


def require_short(file: Path, parquet: Any, names: Iterable[str]) -> None:  # noqa: ANN401
    """Check columns before they are read.

    Raises:
        StudioError: Their texts must be long.
    """
    for name in names:
        if are_long(parquet, name):
            raise _too_long(file, name)


def require_short_ones(file: Path, column: Any, name: str) -> None:  # noqa: ANN401
    """Check texts that were read in the form of a dictionary.

    Raises:
        StudioError: One is too long.
    """
    if longest(column) > MOST_TEXT:
        raise _too_long(file, name)


def _too_long(file: Path, name: str) -> StudioError:
    return StudioError(
        "Not a file of evenface-batch",
        f"{file.name}: '{name}' has texts of more than {MOST_TEXT:,} bytes.",
        "Open an output of evenface-batch, or one file with its columns id and weight.",
        kind="too-large",
    )
