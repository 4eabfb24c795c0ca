"""Rows that are in memory: those of a folder that the studio has encoded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.table import Bools, Places


@dataclass(frozen=True)
class ListedRows:
    """Ids and errors.

    Attributes:
        ids: Of all rows.
        errors: By row.
    """

    ids: Sequence[str] = field(repr=False)
    errors: Mapping[int, str] = field(repr=False)

    def require_unchanged(self) -> None:
        """They never change."""

    def cells(self, rows: Places) -> list[Cell]:
        """What a page shows of some rows."""
        return [Cell(self.ids[row], self.errors.get(row)) for row in rows.tolist()]

    def containing(self, text: str) -> Bools:
        """Say which ids contain a text, whatever their case."""
        found = pc.match_substring(self._array(), text, ignore_case=True)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

    def names(self) -> Iterator[Any]:
        """All ids, as one Arrow array of strings."""
        yield self._array()

    def _array(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        # A name of a file may hold bytes that are no text.
        return pa.array([name.encode(errors="replace").decode() for name in self.ids], pa.string())
