"""The output folder's part files: written whole or not at all, found again, read.

    OUT/job.json           the plan: inputs, listing, model, form of the parts
    OUT/listing.jsonl.gz   what is to be scored, one line a chunk
    OUT/parts/part-000000000.parquet
    OUT/unfinished/        parts while they are written

Everything goes through fsspec, so that OUT may be any of its URLs.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from evenface_core.errors import JobError

from evenface_batch.parts import Form, Rows, Table

_PART = re.compile(r"part-(\d{9,})\.parquet")
_ROW_GROUP = 1024
_SCRATCH = "unfinished"


class PartWriter:
    """Takes a part's rows, a few at a time; holds no more than a row group of them."""

    def __init__(self, file: IO[bytes], schema: Any) -> None:  # noqa: ANN401 - pyarrow's
        self._writer = pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["error"])
        self._held: list[Table] = []

    def write(self, rows: Rows) -> None:
        """Add rows."""
        self.write_table(rows.table())

    def write_table(self, table: Table) -> None:
        """Add rows that are a table of the part's schema already."""
        self._held.append(table)
        if sum(len(some) for some in self._held) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is held, and the footer."""
        if self._held:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of a file that is not to be kept, while it is still open."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._held))
        self._held.clear()


@dataclass(frozen=True)
class Output:
    """Where parts go. Small, and picklable: engines hand it to their workers.

    Attributes:
        url: OUT, a path or a URL of fsspec, without a slash at the end.
        form: Of the parts.
    """

    url: str
    form: Form

    @contextmanager
    def part(self, index: int) -> Iterator[PartWriter]:
        """Lend a writer of a part, which replaces an older one when all has been written.

        Raises:
            JobError: The part cannot be written; names it.
        """
        with self.folder.replacing(part_name(index)) as file:
            writer = PartWriter(file, self.form.schema)
            try:
                yield writer
                writer.close()
            except BaseException:
                writer.abandon()
                raise

    def write(self, index: int, table: Table) -> None:
        """Write, or replace, a part by a table of its schema (its weights filled in, say).

        Raises:
            JobError: It cannot be written.
        """
        with self.part(index) as part:
            part.write_table(table)

    def read(self, index: int, columns: list[str] | None = None) -> Table:
        """Read a part's rows in their order; `columns` are all of them by default.

        Raises:
            JobError: It is not there, or damaged.
        """
        with self.opened(index) as file:
            return file.read(columns)

    def count(self, index: int) -> tuple[int, int]:
        """How many rows a part has, and how many of them have an error; read from its footer.

        Raises:
            JobError: It is not there, or damaged.
        """
        with self.opened(index) as file:
            footer = file.metadata
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            errors = footer.num_columns - 1  # the last column
            nulls = sum(group.column(errors).statistics.null_count for group in groups)
            return footer.num_rows, footer.num_rows - nulls

    def errors(self, index: int) -> list[str]:
        """The errors of a part's rows, each of them once.

        Raises:
            JobError: It is not there, or damaged.
        """
        texts = self.read(index, ["error"]).column("error").unique().to_pylist()
        return [text for text in texts if text is not None]

    def parts(self) -> list[int]:
        """The numbers of the parts that are there, in order."""
        found = (_PART.fullmatch(name) for name in self.folder.names("parts"))
        return sorted(int(match[1]) for match in found if match)

    @contextmanager
    def opened(self, index: int) -> Iterator[Any]:
        """Lend a part as a `pyarrow.parquet.ParquetFile`.

        Raises:
            JobError: It is not there, or damaged, also where that shows only as it is read.
        """
        name = part_name(index)
        try:
            with self.folder.open(name) as file:
                yield pq.ParquetFile(file)
        except (OSError, pa.ArrowException) as error:
            raise JobError(f"cannot read {self.url}/{name}: {reason_of(error)}") from error

    @cached_property
    def folder(self) -> "Folder":
        """OUT's files."""
        return Folder(self.url)


class Folder:
    """A folder of any file system, in which files appear whole or not at all.

    Args:
        url: Its path or URL.

    Raises:
        JobError: fsspec knows no such file system.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or "/"
        try:
            self._system, self._path = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise JobError(f"{url}: {error}") from error

    @contextmanager
    def replacing(self, name: str, compression: str | None = None) -> Iterator[IO[bytes]]:
        """Lend a file for writing that takes the place of `name` when all has gone well.

        Raises:
            JobError: It cannot be written, for a full disk say; nothing is left behind.
        """
        scratch = f"{self._path}/{_SCRATCH}/{secrets.token_hex(8)}"
        try:
            self._system.makedirs(f"{self._path}/{_SCRATCH}", exist_ok=True)
            try:
                with self._system.open(scratch, "wb", compression=compression) as file:
                    yield file
                self._settle(scratch, name)
            except BaseException:
                with suppress(OSError):
                    self._system.rm(scratch)
                raise
        except (OSError, pa.ArrowException) as error:
            raise JobError(f"cannot write {self.url}/{name}: {reason_of(error)}") from error

    def open(self, name: str, compression: str | None = None) -> IO[bytes]:
        """Open a file for reading.

        Raises:
            OSError: It is not there, or cannot be read.
        """
        file: IO[bytes] = self._system.open(f"{self._path}/{name}", "rb", compression=compression)
        return file

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self._system.exists(f"{self._path}/{name}"))

    def names(self, below: str) -> list[str]:
        """The names of the files in a folder below, which need not exist."""
        self._system.invalidate_cache()  # others write here, too
        try:
            return [
                path.rpartition("/")[2]
                for path in self._system.ls(f"{self._path}/{below}", detail=False)
            ]
        except FileNotFoundError:
            return []

    def clear_scratch(self) -> None:
        """Delete what killed processes have left half-written."""
        self.remove(_SCRATCH)

    def remove(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it, if there is one."""
        with suppress(FileNotFoundError):
            self._system.rm(f"{self._path}/{name}", recursive=True)

    def _settle(self, scratch: str, name: str) -> None:
        target = f"{self._path}/{name}"
        self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
        if not self.is_local:
            self._system.mv(scratch, target)
            return
        descriptor = os.open(scratch, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # or the name could reach the disk before the bytes
        finally:
            os.close(descriptor)
        os.replace(scratch, target)  # noqa: PTH105 - both are text

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine (or mounted here)."""
        return "file" in _protocols(self._system)

    @property
    def path(self) -> str:
        """The path in its file system."""
        return str(self._path)


def part_name(index: int) -> str:
    """The name of a part, below OUT."""
    return f"parts/part-{index:09}.parquet"


def reason_of(error: BaseException) -> str:
    """What an error of a file system says, in one line."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left on the device"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).split("\n")[0]


def _protocols(system: Any) -> tuple[str, ...]:  # noqa: ANN401 - fsspec has no types
    known = system.protocol
    return (known,) if isinstance(known, str) else tuple(known)
