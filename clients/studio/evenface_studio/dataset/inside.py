"""Images inside of WebDataset shards and Parquet files, one at a time and with bounded memory.

Where an item is follows from its row in its part file: the rows of a part are those of its chunk
in order. Its id is compared, so that another one is never shown in its place.
"""

import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import IO, Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq
from evenface_core.images import DEFAULT_LIMITS
from evenface_core.shards import Member, members

from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.roots import IMAGE_SUFFIXES
from evenface_studio.dataset.texts import are_long

GONE = "no longer there"
_MOST_HEADERS = 100_000  # of a shard that are read for one image
_MOST_ROWS = 20_000  # of a row group that are read for one image
_MOST_GROUP = 2**27  # bytes of them, before compression; they may be one page: held twice then
_AHEAD = 2**20
_NAMES = 1024  # texts read at once

_ONE = Lock()  # row group is read at a time

Starts: TypeAlias = "array[int]"  # int64: where the first samples of a chunk begin in their shard


@dataclass(frozen=True, slots=True)
class Shard:
    """Samples of a WebDataset shard.

    Attributes:
        url: Of the shard.
        prefix: What their ids begin with; the key follows.
        offset: Where the first one begins, in bytes.
    """

    url: str
    prefix: str
    offset: int

    def read(self, file: IO[bytes], cell: Cell, starts: Starts) -> bytes:
        """Read the image of a sample.

        Args:
            file: The shard.
            cell: The sample.
            starts: Where samples begin, as far as that is known; grows.

        Raises:
            OSError: It is not there, too large, too far into the shard, or the shard is damaged.
        """
        careful = cast("IO[bytes]", _Careful(file))
        try:
            self._find(careful, cell.row, starts)
            careful.seek(starts[cell.row])
            return _image_of(members(careful), cell.id.removeprefix(self.prefix))
        except (tarfile.TarError, EOFError, RecursionError) as error:
            raise OSError(5, "its shard is damaged") from error

    def _find(self, file: IO[bytes], row: int, starts: Starts) -> None:
        """Go through headers until the row's is known."""
        if 0 <= row < len(starts):
            return
        file.seek(starts[-1] if starts else self.offset)
        place, key = max(len(starts) - 1, 0) - 1, None
        for headers, member in enumerate(members(file)):
            if headers == _MOST_HEADERS:
                raise OSError(27, "too far into its shard; see the job's page.html")
            if member.key == key:
                continue
            place, key = place + 1, member.key
            if place == len(starts):
                starts.append(member.offset)
            if place == row:
                return
        raise FileNotFoundError(2, GONE)


def _image_of(found: Iterator[Member], key: str) -> bytes:
    """The first image of the sample that begins here."""
    for member in found:
        if member.key != key:
            break
        if f".{member.ending}" in IMAGE_SUFFIXES:
            if member.size > DEFAULT_LIMITS.max_bytes:
                raise OSError(27, f"more than {DEFAULT_LIMITS.max_bytes:,} bytes")
            return member.read()
    raise FileNotFoundError(2, GONE)


@dataclass(frozen=True)
class _Careful:
    """A file of which nothing is read that is larger than an image may be: tar headers may lie."""

    file: IO[bytes]

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        if not 0 <= size <= DEFAULT_LIMITS.max_bytes:
            raise OSError(27, f"more than {DEFAULT_LIMITS.max_bytes:,} bytes")
        return self.file.read(size)

    def seek(self, offset: int) -> int:
        """Go to a byte."""
        return self.file.seek(offset)

    def tell(self) -> int:
        """Where the file stands."""
        return self.file.tell()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a Parquet file.

    Attributes:
        url: Of the file.
        prefix: What their ids begin with; the row's number in the file follows, or its id.
        column: With the images, as binary, as paths, or as structs of both (`bytes`, `path`).
        id_column: With the ids; None for the row's number.
        first: Number of the first row in the file.
    """

    url: str
    prefix: str
    column: str
    id_column: str | None
    first: int

    def read(self, file: IO[bytes], cell: Cell) -> bytes | str:
        """Read the image of a row, or the path that stands in its place.

        Args:
            file: The Parquet file.
            cell: The row.

        Raises:
            OSError: It is not there, too large, in too large a row group, or the file is damaged.
        """
        try:
            with _ONE, pq.ParquetFile(file, pre_buffer=False, buffer_size=_AHEAD) as parquet:
                name, found = self._cell(parquet, self.first + cell.row)
        except (pa.ArrowException, KeyError, IndexError) as error:
            raise OSError(5, "its file is damaged") from error
        if self.prefix + name != cell.id:
            raise FileNotFoundError(2, GONE)
        if isinstance(found, dict):
            found = found.get("bytes") or found.get("path")
        if not isinstance(found, bytes | str) or not found:
            raise FileNotFoundError(2, "no image in its cell")
        return found

    def _cell(self, parquet: Any, row: int) -> tuple[str, object]:  # noqa: ANN401 - no types
        """The id and the cell of a row."""
        group, inside = _located(parquet, row)
        wanted = [name for name in (self.column, self.id_column) if name is not None]
        size = _step(parquet, group, inside, self.column)
        batches = parquet.iter_batches(size, row_groups=[group], columns=wanted)
        batch = next(islice(batches, inside // size, None), None)
        if batch is None:
            raise FileNotFoundError(2, GONE)
        cell = batch.column(self.column)[inside % size].as_py()
        if self.id_column is None:
            return f"{row:08}", cell
        return str(batch.column(self.id_column)[inside % size].as_py()), cell


def _located(parquet: Any, row: int) -> tuple[int, int]:  # noqa: ANN401
    """Which row group a row is in, and where there."""
    left = row
    for group in range(parquet.metadata.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if 0 <= left < rows:
            return group, left
        left -= rows
    raise FileNotFoundError(2, GONE)


def _step(parquet: Any, group: int, inside: int, column: str) -> int:  # noqa: ANN401
    """How many rows may be decoded at once.

    One of images, as a cell that comes often stands in the file once.

    Raises:
        OSError: There is more to be read than one image is worth.
    """
    kind = parquet.schema_arrow.field(column).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if are_long(parquet, column):
            raise OSError(27, "its paths are too long")
        return _NAMES
    facts = parquet.metadata.row_group(group)
    columns = (facts.column(place) for place in range(facts.num_columns))
    sizes = {one.path_in_schema: one.total_uncompressed_size for one in columns}
    total = sum(size for name, size in sizes.items() if name.partition(".")[0] == column)
    if total > _MOST_GROUP or inside >= _MOST_ROWS:
        raise OSError(27, "its row group is too large to look into; see the job's page.html")
    return 1
