"""Label columns: texts that come again and again, kept as numbers."""

import base64
import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Codes = NDArray[np.unsignedinteger[Any]]

_CODE = "I"  # of `array`: 32 bits
_UNKNOWN = ""


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """One text a row; "" is unknown.

    Attributes:
        values: The texts that occur.
        codes: unsigned [N], for each row the position of its text in `values`.
    """

    values: tuple[str, ...]
    codes: Codes = field(repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.values[int(self.codes[row])]

    def texts(self) -> NDArray[np.str_]:
        """Each row's text: [N]."""
        return np.array(self.values, np.str_)[self.codes]

    def members(self, value: str) -> NDArray[np.bool_]:
        """Which rows have a text: bool [N]."""
        wanted = [code for code, text in enumerate(self.values) if text == value]
        return np.isin(self.codes, wanted)

    def joined(self, rows: Int64) -> "LabelColumn":
        """Another order of rows: int64 [M]; at -1 nothing is known."""
        codes = np.append(self.codes.astype(np.uint32), np.uint32(len(self.values)))
        return LabelColumn((*self.values, _UNKNOWN), codes[rows])

    def to_json(self) -> dict[str, Any]:
        """All of it, for `from_json`."""
        codes = self.codes.astype(f"<u{self.codes.itemsize}")
        return {
            "values": self.values,
            "bytes": codes.itemsize,
            "codes": base64.b64encode(codes.tobytes()).decode(),
        }

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> "LabelColumn":
        """What `to_json` gave.

        Raises:
            ValueError: The codes are cut.
        """
        codes = np.frombuffer(base64.b64decode(known["codes"]), f"<u{known['bytes']}")
        return cls(tuple(known["values"]), codes)


class LabelTable:
    """Label columns that grow row by row; 4 bytes a row and column, and each text once."""

    def __init__(self) -> None:
        self._rows = 0
        self._values: dict[str, dict[str, int]] = {}
        self._codes: dict[str, array[int]] = {}

    def append(self, labels: Mapping[str, str]) -> None:
        """Add a row; a column that comes up first here is unknown in the rows before."""
        for column in labels.keys() - self._codes.keys():
            self._values[column] = {_UNKNOWN: 0} if self._rows else {}
            self._codes[column] = array(_CODE, [0]) * self._rows
        for column, codes in self._codes.items():
            values = self._values[column]
            codes.append(values.setdefault(labels.get(column, _UNKNOWN), len(values)))
        self._rows += 1

    def columns(self) -> dict[str, LabelColumn]:
        """What has been added, by name of column, sorted."""
        return {
            column: LabelColumn(tuple(self._values[column]), _small(codes, self._values[column]))
            for column, codes in sorted(self._codes.items())
        }


def label_text(value: object) -> str:
    """Write a value of a JSON, Parquet or HDF5 file as a label.

    A whole number is the same with or without a point, so that 1.0 and 1 are one group. Nothing
    and no number are unknown.
    """
    if value is None or value != value:  # noqa: PLR0124 - nan alone is unlike itself
        return _UNKNOWN
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value).strip()


def digest_labels(columns: Mapping[str, LabelColumn]) -> str:
    """SHA-256 over what each row's labels are, however they are kept."""
    digest = hashlib.sha256()
    for name, column in sorted(columns.items()):
        present = sorted({column.values[code] for code in np.unique(column.codes)})
        places = {text: place for place, text in enumerate(present)}
        ranks = np.array([places.get(text, 0) for text in column.values], "<u4")[column.codes]
        digest.update(json.dumps([name, present]).encode() + ranks.tobytes())
    return digest.hexdigest()


def _small(codes: "array[int]", values: Mapping[str, int]) -> Codes:
    smallest = np.min_scalar_type(max(len(values) - 1, 0))
    return np.frombuffer(codes, np.uint32).astype(smallest)
