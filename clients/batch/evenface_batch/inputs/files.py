"""Image files, one an item: found in folders, matched by patterns, or named by a list."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import fsspec
from evenface_core.errors import JobError

from evenface_batch.inputs.found import Found
from evenface_batch.items import Item
from evenface_batch.output import reason_of
from evenface_batch.reading import read_items

_EMPTY = "no path: the cell is empty"
_TOGETHER = 32  # files that are read at once, where that is faster


@dataclass(frozen=True)
class FilePlaces:
    """Image files.

    Attributes:
        base: What their names are joined to, unless they are absolute or URLs.
        prefix: What their ids begin with.
        names: As found or written; empty where a list has an empty cell.
    """

    base: str
    prefix: str
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many files."""
        return len(self.names)

    def items(self) -> Iterator[Item]:
        """Read the files."""
        for _, item in self._read(range(len(self.names))):
            yield item

    def ids(self) -> Iterator[str]:
        """Name the files."""
        return (self.prefix + name for name in self.names)

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        """Read some of the files."""
        return self._read(sorted(row for row in rows if row < len(self.names)))

    def to_line(self) -> dict[str, Any]:
        """As a line of the listing."""
        return {
            "kind": "files",
            "base": self.base,
            "prefix": self.prefix,
            "names": list(self.names),
        }

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> "FilePlaces":
        """From a line of the listing."""
        return cls(line["base"], line["prefix"], tuple(line["names"]))

    def _read(self, rows: Iterable[int]) -> Iterator[tuple[int, Item]]:
        rows = iter(rows)
        while some := list(islice(rows, _TOGETHER)):
            named = [(row, self.names[row]) for row in some if self.names[row]]
            read = read_items([(self.prefix + name, self._url(name)) for _, name in named])
            for row in some:
                yield row, next(read) if self.names[row] else Item(self.prefix, None, _EMPTY)

    def _url(self, name: str) -> str:
        return name if name.startswith("/") or "://" in name else self.base + name


def image_files(found: Found, chunk_size: int) -> Iterator[FilePlaces]:
    """Cut the image files that were found into chunks."""
    names = iter(found.names())
    while some := tuple(islice(names, chunk_size)):
        yield FilePlaces(found.base, found.prefix, some)


def listed_files(found: Found, column: str | None, chunk_size: int) -> Iterator[FilePlaces]:
    """Cut the files that lists name into chunks; a relative name begins where its list lies.

    Raises:
        JobError: A list cannot be read, or has no such column.
    """
    for name in found.names():
        url = found.base + name
        base = url.rpartition("/")[0] + "/" if "/" in url else ""
        lines = _column_of(url, column) if url.lower().endswith((".csv", ".tsv")) else _lines(url)
        try:
            while some := tuple(islice(lines, chunk_size)):
                yield FilePlaces(base, found.list_prefix, some)
        except (OSError, csv.Error) as error:
            raise JobError(f"cannot read {url}: {reason_of(error)}") from error


def _lines(url: str) -> Iterator[str]:
    with fsspec.open(url, "rt", encoding="utf-8-sig", errors="surrogateescape") as file:
        yield from (name for line in file if (name := line.rstrip("\r\n")))


def _column_of(url: str, column: str | None) -> Iterator[str]:
    delimiter = "\t" if url.lower().endswith(".tsv") else ","
    # Without translation of line ends, which may be within a quoted name.
    with fsspec.open(url, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        header = next(rows, [])
        if column is not None and column not in header:
            known = ", ".join(header) or "none"
            raise JobError(f"{url}: no column '{column}'; it has {known}")
        place = 0 if column is None else header.index(column)
        yield from (row[place] if len(row) > place else "" for row in rows if row)
