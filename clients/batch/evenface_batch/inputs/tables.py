"""Parquet files with images, or with their paths, in a column."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from evenface_core.errors import JobError

from evenface_batch.inputs.found import Found
from evenface_batch.items import Item
from evenface_batch.output import reason_of
from evenface_batch.reading import item, read_items
from evenface_batch.text import one_line

ParquetFile: TypeAlias = Any  # pyarrow has no types

_ROWS = 16  # images read at once
_NAMES = 4096  # names read at once
_BUFFER = 2**20  # bytes read ahead of a column, in place of all of its row group


@dataclass(frozen=True)
class TablePlaces:
    """Rows of a Parquet file that follow one another.

    Attributes:
        url: Of the file.
        prefix: What their ids begin with; the row's number in the file follows, or its id.
        column: With the images, as binary, as paths, or as structs of both (`bytes`, `path`).
        id_column: With the ids; None for the row's number.
        groups: First row group, and the one behind the last.
        first: Number of the first row in the file.
        skip: Rows of the first group to leave out before it.
        rows: How many rows; None where the file could not be read.
    """

    url: str
    prefix: str
    column: str
    id_column: str | None
    groups: tuple[int, int] = (0, 0)
    first: int = 0
    skip: int = 0
    rows: int | None = None

    @property
    def count(self) -> int | None:
        """How many rows."""
        return self.rows

    def items(self) -> Iterator[Item]:
        """Read the rows; where the file is damaged, one item says so for all that is left."""
        for some in self._cells(self.column):
            yield from some if isinstance(some[0], Item) else self._read(some)

    def ids(self) -> Iterator[str]:
        """Name the rows."""
        if self.rows is None or self.id_column is not None:
            for some in self._cells(None):
                yield from (one.id if isinstance(one, Item) else one[0] for one in some)
        else:
            yield from (self._id(self.first + row, None) for row in range(self.rows))

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        """Read the rows and keep some."""
        last = max(rows, default=-1)
        for row, one in zip(range(last + 1), self.items(), strict=False):
            if row in rows:
                yield row, one

    def to_line(self) -> dict[str, Any]:
        """As a line of the listing."""
        return {"kind": "table", **vars(self), "groups": list(self.groups)}

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> "TablePlaces":
        """From a line of the listing."""
        values = {key: value for key, value in line.items() if key != "kind"}
        return cls(**{**values, "groups": tuple(line["groups"])})

    def _cells(self, column: str | None) -> Iterator[list[Any]]:
        """Pairs of id and cell, a few at a time; where rows are lost, an item in their place."""
        try:
            with open_table(self.url) as file:
                _check(file, self)
                first, skip, facts = self.first, self.skip, file.metadata
                begin, end = self.groups
                left = self.rows
                if left is None:  # it could not be read when it was listed
                    left, end = facts.num_rows, facts.num_row_groups
                for group in range(begin, min(end, facts.num_row_groups)):
                    rows = max(0, min(left, facts.row_group(group).num_rows - skip))
                    yield from self._cells_of(file, column, group, first, skip, rows)
                    first, skip, left = first + rows, 0, left - rows
                if left:
                    yield [Item(self._id(first, None), None, _shorter(left))]
        except (OSError, pa.ArrowException, JobError) as error:
            yield [Item(self._id(self.first, None), None, _broken(error, self.rows))]

    def _cells_of(
        self, file: ParquetFile, column: str | None, group: int, first: int, skip: int, rows: int
    ) -> Iterator[list[Any]]:  # fmt: skip
        """The same for some rows of a row group."""
        done = 0
        try:
            for names, cells in self._batches(file, column, group, skip, rows):
                yield [
                    (self._id(first + place, name), cell)
                    for place, (name, cell) in enumerate(zip(names, cells, strict=True), done)
                ]
                done += len(cells)
        except (OSError, pa.ArrowException) as error:
            yield [Item(self._id(first + done, None), None, _broken(error, rows - done))]

    def _batches(
        self, file: ParquetFile, column: str | None, group: int, skip: int, rows: int
    ) -> Iterator[tuple[list[Any], list[Any]]]:
        """Ids as the file has them, and cells, a few at a time."""
        wanted = [name for name in (column, self.id_column) if name is not None]
        size = _ROWS if column is not None and not holds_names(file, column) else _NAMES
        for batch in file.iter_batches(size, [group], wanted):
            some = batch.slice(skip, rows)
            skip, rows = max(0, skip - len(batch)), rows - len(some)
            if len(some):
                nothing = [None] * len(some)
                names, cells = (
                    nothing if name is None else _values(some.column(name))
                    for name in (self.id_column, column)
                )
                yield names, cells
            if not rows:
                return

    def _read(self, cells: Iterable[tuple[str, Any]]) -> Iterator[Item]:
        held: list[tuple[str, str]] = []
        for name, cell in cells:
            data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (
                (None, cell) if isinstance(cell, str) else (cell, None)
            )  # fmt: skip
            if data is None and path:
                held.append((name, self._beside(path)))
                if len(held) == _ROWS:
                    yield from read_items(held)
                    held.clear()
                continue
            yield from read_items(held)
            held.clear()
            yield Item(name, None, "no image: null") if data is None else item(name, data)
        yield from read_items(held)

    def _beside(self, path: str) -> str:
        if path.startswith("/") or "://" in path:
            return path
        return self.url.rpartition("/")[0] + "/" + path

    def _id(self, row: int, name: object) -> str:
        return f"{self.prefix}{f'{row:08}' if name is None else name}"


def table_chunks(
    found: Found, column: str, id_column: str | None, chunk_size: int
) -> Iterator[TablePlaces]:
    """Cut Parquet files into chunks; one that cannot be read is a chunk, which will say so.

    Row groups with images are never parted, as a part of one cannot be read by itself.

    Raises:
        JobError: A file lacks a column, or the column holds no images.
    """
    for name in found.names():
        prefix = found.prefix if found.alone else f"{found.prefix}{name}/"
        whole = TablePlaces(found.base + name, prefix, column, id_column)
        try:
            with open_table(whole.url) as file:
                _check(file, whole)
                sizes = [
                    file.metadata.row_group(group).num_rows
                    for group in range(file.metadata.num_row_groups)
                ]
                parted = holds_names(file, column)
        except (OSError, pa.ArrowException):
            yield whole
            continue
        yield from _cut(whole, sizes, chunk_size, parted=parted)


def _cut(
    whole: TablePlaces, sizes: list[int], chunk_size: int, *, parted: bool
) -> Iterator[TablePlaces]:
    first = begin = rows = 0
    for group, size in enumerate(sizes):
        if rows and rows + size > chunk_size:
            yield _piece(whole, (begin, group), first, 0, rows)
            first, begin, rows = first + rows, group, 0
        if parted and size > chunk_size:
            for skip in range(0, size, chunk_size):
                some = min(chunk_size, size - skip)
                yield _piece(whole, (group, group + 1), first + skip, skip, some)
            first, begin, rows = first + size, group + 1, 0
        else:
            rows += size
    if rows:
        yield _piece(whole, (begin, len(sizes)), first, 0, rows)


def _piece(
    whole: TablePlaces, groups: tuple[int, int], first: int, skip: int, rows: int
) -> TablePlaces:
    return TablePlaces(
        whole.url, whole.prefix, whole.column, whole.id_column, groups, first, skip, rows
    )


@contextmanager
def open_table(url: str) -> Iterator[ParquetFile]:
    """Open a Parquet file.

    Raises:
        OSError: It cannot be read.
        pyarrow.ArrowException: It is damaged.
    """
    with (
        fsspec.open(url, "rb") as raw,
        pq.ParquetFile(raw, pre_buffer=False, buffer_size=_BUFFER) as file,
    ):
        yield file


def holds_names(file: ParquetFile, column: str) -> bool:
    """Whether a column holds paths and not images."""
    kind = file.schema_arrow.field(column).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check(file: ParquetFile, places: TablePlaces) -> None:
    schema = file.schema_arrow
    for name in filter(None, (places.column, places.id_column)):
        if name not in schema.names:
            known = ", ".join(schema.names) or "none"
            raise JobError(f"{places.url}: no column '{name}'; it has {known}")
    kind, types = schema.field(places.column).type, pa.types
    binary = (types.is_binary, types.is_large_binary)
    if types.is_struct(kind):
        kind = next((field.type for field in kind if field.name == "bytes"), kind)
    if not any(test(kind) for test in binary) and not holds_names(file, places.column):
        raise JobError(
            f"{places.url}: column '{places.column}' is {kind}; "
            "it must be binary, text (paths) or a struct with 'bytes'"
        )


def _values(column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
    """What a column holds; text that is no UTF-8 as names of files with such bytes are."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        found: list[Any] = column.to_pylist()
        return found
    cells = column.cast(pa.large_binary()).to_pylist()
    return [None if cell is None else cell.decode(errors="surrogateescape") for cell in cells]


def _shorter(rows: int) -> str:
    return f"broken file: {rows} rows from this one on are lost (it has grown shorter)"


def _broken(error: BaseException, rows: int | None) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing: no such file"
    lost = "all rows are lost" if rows is None else f"{rows} rows from this one on are lost"
    return one_line(f"broken file: {lost} ({reason_of(error)})")
