"""Images inside of WebDataset shards and Parquet files, one at a time and with bounded memory.

Of Parquet it is bounded as far as footers tell the truth about sizes: pages cannot be asked before.

Where an item is follows from its row in its part file: the rows of a part are those of its chunk
in order. Its id is compared, so that another one is never shown in its place.
"""

import tarfile
from array import array
from collections.abc import Iterator, Sequence
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
from evenface_studio.dataset.texts import is_text

GONE = "no longer there"
_MOST_HEADERS = 100_000  # of a shard that are read for one image, those of no files included
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
        except (tarfile.TarError, EOFError) as error:
            raise OSError(5, "its shard is damaged") from error

    def _find(self, file: IO[bytes], row: int, starts: Starts) -> None:
        """Go through headers until the row's is known."""
        if 0 <= row < len(starts):
            return
        file.seek(starts[-1] if starts else self.offset)
        place, key = max(len(starts) - 1, 0) - 1, None
        for member in members(file):
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


@dataclass
class _Careful:
    """A shard of which little is read: tar headers may lie, and there may be any number of them.

    Attributes:
        file: The shard.
        headers: How many blocks of the size of a header have been read.
    """

    file: IO[bytes]
    headers: int = 0

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        self.headers += size == tarfile.BLOCKSIZE
        if self.headers > _MOST_HEADERS:
            raise OSError(27, "too far into its shard; see the job's page.html")
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
            with _ONE:
                name, found = self._cell(file, self.first + cell.row)
        except (pa.ArrowException, LookupError, ValueError) as error:
            raise OSError(5, "its file is damaged") from error
        if self.prefix + name != cell.id:
            raise FileNotFoundError(2, GONE)
        if isinstance(found, dict):
            found = found.get("bytes") or found.get("path")
        if not isinstance(found, bytes | str) or not found:
            raise FileNotFoundError(2, "no image in its cell")
        return found

    def _cell(self, file: IO[bytes], row: int) -> tuple[str, object]:
        """The id and the cell of a row."""
        facts = pq.read_metadata(file)
        schema = facts.schema.to_arrow_schema()
        group, inside = _located(facts, row)
        has_names = is_text(schema.field(self.column).type)
        wanted = _leaves(schema, self.column)
        if self.id_column is not None:
            _require_flat(schema, self.id_column)
            wanted.append(self.id_column)
        _require_small(facts.row_group(group), wanted)
        if not has_names and inside >= _MOST_ROWS:
            raise _too_large()
        # One image, as one that comes often stands in the file once; and so does a text.
        size = _NAMES if has_names else 1
        kinds = {name: schema.field(name).type for name in wanted} if has_names else {}
        texts = [name for name, kind in kinds.items() if is_text(kind) or _is_binary(kind)]
        file.seek(0)
        with pq.ParquetFile(
            file, metadata=facts, pre_buffer=False, buffer_size=_AHEAD, read_dictionary=texts
        ) as parquet:
            batches = parquet.iter_batches(size, row_groups=[group], columns=wanted)
            batch = next(islice(batches, inside // size, None), None)
            if batch is None:
                raise FileNotFoundError(2, GONE)
            cell = batch.column(self.column)[inside % size].as_py()
            if self.id_column is None:
                return f"{row:08}", cell
            return str(batch.column(self.id_column)[inside % size].as_py()), cell


def _located(facts: Any, row: int) -> tuple[int, int]:  # noqa: ANN401 - pyarrow has no types
    """Which row group a row is in, and where there."""
    left = row
    for group in range(facts.num_row_groups):
        rows = facts.row_group(group).num_rows
        if 0 <= left < rows:
            return group, left
        left -= rows
    raise FileNotFoundError(2, GONE)


def _leaves(schema: Any, column: str) -> list[str]:  # noqa: ANN401
    """What is read of a column: of structs bytes and path alone.

    Raises:
        OSError: It has neither images nor paths.
    """
    kind = schema.field(column).type
    if is_text(kind) or _is_binary(kind):
        return [column]
    tests = {"bytes": _is_binary, "path": is_text}
    inner = {one.name: one.type for one in kind} if pa.types.is_struct(kind) else {}
    names = [name for name, test in tests.items() if name in inner and test(inner[name])]
    if not names:
        raise OSError(22, "no images in its column")
    return [f"{column}.{name}" for name in names]


def _require_flat(schema: Any, column: str) -> None:  # noqa: ANN401
    """Check that a cell holds one value, and not any number of them.

    Raises:
        OSError: It does not.
    """
    if pa.types.is_nested(schema.field(column).type):
        raise OSError(22, "no ids in its column")


def _is_binary(kind: Any) -> bool:  # noqa: ANN401
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _require_small(group: Any, wanted: Sequence[str]) -> None:  # noqa: ANN401
    """Check that there is not more to be read than one image is worth.

    Raises:
        OSError: There is.
    """
    columns = (group.column(place) for place in range(group.num_columns))
    sizes = [
        one.total_uncompressed_size
        for one in columns
        if any(f"{one.path_in_schema}.".startswith(f"{name}.") for name in wanted)
    ]
    if sum(sizes) > _MOST_GROUP:
        raise _too_large()


def _too_large() -> OSError:
    return OSError(27, "its row group is too large to look into; see the job's page.html")
