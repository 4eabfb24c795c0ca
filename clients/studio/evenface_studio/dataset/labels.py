"""Label columns: from `labels.csv` beside images, or from further columns of a Parquet file."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evenface_studio.dataset.roots import Roots, read_below
from evenface_studio.dataset.table import NO_LABEL, Codes, Labels

LABELS_FILE = "labels.csv"
MOST_VALUES = 100  # different ones in a column that is a label
MOST_COLUMNS = 20
_KEY = "file"
_NO_VALUES = 2  # "" and null
_MOST_CODED = 2**16  # bytes of all different values: longer ones are no labels
_MOST_BYTES = 32 * 2**20  # some 500,000 lines


class LabelCoder:
    """Gives the values of a column numbers as they come; gives up where there are too many."""

    def __init__(self, rows: int) -> None:
        self._numbers: dict[str, int] = {}
        self._codes: Codes | None = np.full(rows, NO_LABEL, np.int16)

    @property
    def gave_up(self) -> bool:
        """Whether it has."""
        return self._codes is None

    def put(self, start: int, values: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        """Take values of rows that follow one another, as an Arrow array of any kind."""
        if self._codes is None:
            return
        coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        different = coded.dictionary
        if len(different) > MOST_VALUES + _NO_VALUES or different.nbytes > _MOST_CODED:
            self._codes = None
            return
        numbers = [self._number(name) for name in different.cast(pa.string()).to_pylist()]
        if len(self._numbers) > MOST_VALUES:
            self._codes = None
            return
        places = coded.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
        self._codes[start : start + len(places)] = np.array([*numbers, NO_LABEL], np.int16)[places]

    def _number(self, name: str | None) -> int:
        return self._numbers.setdefault(name, len(self._numbers)) if name else NO_LABEL

    def labels(self) -> Labels | None:
        """The column, its values in order; None where it is no label column.

        One that has the same value in all rows tells nothing, and is none either.
        """
        if self._codes is None or not self._numbers:
            return None
        if len(self._numbers) == 1 and NO_LABEL not in self._codes:
            return None
        values = sorted(self._numbers, key=_numbers_first)
        places = np.empty(len(values) + 1, np.int16)
        places[[self._numbers[value] for value in values]] = range(len(values))
        places[NO_LABEL] = NO_LABEL
        return Labels(tuple(values), places[self._codes])


def _numbers_first(value: str) -> tuple[bool, float, str]:
    try:
        return (False, float(value), value)
    except ValueError:
        return (True, 0.0, value)


class LabelFile:
    """A `labels.csv`: a line for each image, its columns read when asked for.

    Args:
        roots: What may be read.
        folder: With the images. The file lies there, or one folder up.
    """

    def __init__(self, roots: Roots, folder: Path) -> None:
        self._lines: dict[str, Sequence[str]] = {}
        self.columns: tuple[str, ...] = ()
        for place, prefix in ((folder, ""), (folder.parent, f"{folder.name}/")):
            if self._read(roots, place / LABELS_FILE, prefix):
                return

    def _read(self, roots: Roots, path: Path, prefix: str) -> bool:
        try:
            text = read_below(roots, path, _MOST_BYTES).decode("utf-8-sig")
            rows = csv.reader(io.StringIO(text, newline=""), strict=True)
            header = next(rows, [])
            if _KEY not in header:
                return False
            key = header.index(_KEY)
            self._lines = {
                row[key][len(prefix) :]: row
                for row in rows
                if len(row) == len(header) and row[key].startswith(prefix)
            }
        except (OSError, ValueError, csv.Error):
            return False
        self.columns = tuple(header)
        return True

    def labels(self, names: Sequence[str]) -> Mapping[str, Labels]:
        """The label columns of some images.

        Args:
            names: Paths below the folder.
        """
        lines = [self._lines.get(name) for name in names]
        found: dict[str, Labels] = {}
        for place, column in enumerate(self.columns):
            if column == _KEY or not column or len(found) == MOST_COLUMNS:
                continue
            coder = LabelCoder(len(names))
            values = [None if line is None else line[place] for line in lines]
            coder.put(0, pa.array(values, pa.string()))
            labels = coder.labels()
            if labels is not None:
                found[column] = labels
        return found
