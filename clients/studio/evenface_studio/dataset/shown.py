"""Data sets that are open, several at once, and what people look at in them."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np

from evenface_studio.dataset.pictures import Pictures
from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.table import Bools, Filter, Order, Places, Table, chosen, ordered
from evenface_studio.problems import StudioError

MOST_SETS = 16
MOST_TOTAL_ROWS = 40_000_000
_LOOKS = 4  # filters whose rows are kept for each data set,
_LOOKED_ROWS = 8_000_000  # or fewer, where it has so many
_CELLS = 2000  # rows whose ids are kept, for the thumbnails of the pages at hand


class Rows(Protocol):
    """Where ids and errors of rows are."""

    def require_unchanged(self) -> None:
        """Check that they are what was opened."""

    def cells(self, rows: Places) -> list[Cell]:
        """Read what a page shows of some rows."""

    def containing(self, text: str) -> Bools:
        """Say which ids contain a text, whatever their case."""

    def names(self) -> Iterator[Any]:
        """All ids in order, some at a time, as Arrow arrays of strings."""


@dataclass(frozen=True)
class Look:
    """What somebody looks at.

    Attributes:
        filter: Which rows.
        text: In the id; "" for any.
        order: Of the rows.
    """

    filter: Filter
    text: str
    order: Order


@dataclass(frozen=True)
class Facts:
    """What a data set says of itself.

    Attributes:
        title: As the list of places shows it.
        kind: "job", "parquet" or "folder".
        model: Name and version of what scored, "" where that is not known.
        rule: Of the weights, where known.
        mark: Of the weighting; b"" where there are no weights.
        missing: Parts that are not there.
        mixed: Whether the parts have weights of several runs.
    """

    title: str
    kind: str
    model: str
    rule: str = ""
    mark: bytes = b""
    missing: int = 0
    mixed: bool = False


@dataclass
class DataSet:
    """A data set that is open. Its methods may take a second: call them in a thread."""

    key: str
    facts: Facts
    table: Table
    rows: Rows
    pictures: Pictures
    _looks: OrderedDict[Look, tuple[Bools, Places]] = field(default_factory=OrderedDict)
    _cells: OrderedDict[int, Cell] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def chosen(self, look: Look) -> tuple[Bools, Places]:
        """Which rows somebody looks at, and their order.

        Raises:
            StudioError: The data set has changed.
        """
        self.rows.require_unchanged()
        with self._lock:
            found = self._looks.get(look)
            if found is None:
                found = self._looks[look] = self._choose(look)
                most = min(_LOOKS, max(1, _LOOKED_ROWS // max(1, len(self.table))))
                while len(self._looks) > most:
                    self._looks.popitem(last=False)
            self._looks.move_to_end(look)
            return found

    def cells(self, rows: Places) -> list[Cell]:
        """What a page shows of some rows.

        Args:
            rows: int64 [K], places of rows.

        Raises:
            StudioError: The data set has changed.
        """
        with self._lock:
            known = [self._cells.get(row) for row in rows.tolist()]
        if None not in known:
            return [cell for cell in known if cell is not None]
        found = self.rows.cells(rows)
        with self._lock:
            self._cells.update(zip(rows.tolist(), found, strict=True))
            while len(self._cells) > _CELLS:
                self._cells.popitem(last=False)
        return found

    def _choose(self, look: Look) -> tuple[Bools, Places]:
        mask = chosen(self.table, look.filter)
        if look.text and mask.any():
            mask &= self.rows.containing(look.text)
        # Half of the memory, as there are far fewer than 2^31 rows.
        return mask, ordered(self.table, mask, look.order).astype(np.int32)


class Shelf:
    """The data sets that are open; those not looked at for longest make room for others."""

    def __init__(self) -> None:
        self._sets: OrderedDict[str, DataSet] = OrderedDict()

    def put(self, one: DataSet) -> None:
        """Add a data set, or put an equal one in its place."""
        self._sets[one.key] = one
        self._sets.move_to_end(one.key)
        while len(self._sets) > 1 and (
            len(self._sets) > MOST_SETS
            or sum(len(one.table) for one in self._sets.values()) > MOST_TOTAL_ROWS
        ):
            self._sets.popitem(last=False)

    def get(self, key: str) -> DataSet:
        """Return an open data set.

        Raises:
            StudioError: It is not open, or is no more.
        """
        found = self._sets.get(key)
        if found is None:
            raise StudioError(
                "This data set is not open any more",
                "The studio was started anew, or had to make room for other data sets.",
                "Open it again.",
                status=410,
                kind="closed",
            )
        self._sets.move_to_end(key)
        return found


def key_of(*parts: object) -> str:
    """A key that tells nothing of what it was made of."""
    return blake2b(repr(parts).encode(), digest_size=12).hexdigest()
