"""Rows of `evenface-batch` in Parquet: a job's part files, or one file with the same columns.

One pass at opening takes the numbers of all rows (`Table`); ids are read again where they are
needed: those of a page from the row groups that have them, all of them to look for a text. A file
that has changed since is noticed before anything is read from it.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from evenface_core.weights import WEIGHTING_MARK
from numpy.typing import NDArray

from evenface_studio.dataset.job import JobPlan, read_plan
from evenface_studio.dataset.labels import MOST_COLUMNS, LabelCoder
from evenface_studio.dataset.pieces import Cell, Piece
from evenface_studio.dataset.table import Bools, Labels, Places, Table
from evenface_studio.dataset.texts import are_long, is_text, require_short, require_short_ones
from evenface_studio.problems import StudioError

MOST_ROWS = 20_000_000
_PART = re.compile(r"part-(\d{9,})\.parquet")
_BATCH = 2**16  # rows that are read at a time
_OWN = ("id", "mean", "logit", "probability", "weight", "error")
_MOST_NUMBER = 1e290  # so that sums of many stay numbers
_CHANGED = "It was written anew, or parts came or went, while you looked at it."

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class ParquetRows:
    """Where the rows are.

    Attributes:
        path: The job's folder, or the file.
        pieces: The row groups, in the order of the rows.
        stamp: By which a change is noticed.
        mark: Of the weighting; b"" where there are no weights.
        plan: Of the job; None for a single file.
        missing: Parts of the job that are not there.
        mixed: Whether some parts have the weights of another run, or none, as others.
    """

    path: Path
    pieces: tuple[Piece, ...] = field(repr=False)
    stamp: Stamp = field(repr=False)
    mark: bytes
    plan: JobPlan | None
    missing: int
    mixed: bool

    def require_unchanged(self) -> None:
        """Check that the files are those that were opened.

        Raises:
            StudioError: They are not.
        """
        if _stamp(_files(self.path)) != self.stamp:
            raise _changed()

    def cells(self, rows: Places) -> list[Cell]:
        """Read what a page shows of some rows.

        Args:
            rows: int64 [K], places of rows, in any order.

        Raises:
            StudioError: The files have changed.
        """
        starts = np.array([piece.start for piece in self.pieces])
        holders = np.searchsorted(starts, rows, side="right") - 1
        found: dict[int, Cell] = {}
        for holder in np.unique(holders):
            piece = self.pieces[holder]
            if _stamp([piece.file])[0] not in self.stamp:
                raise _changed()
            inside = np.sort(rows[holders == holder]) - piece.start
            for row, name, error in _picked(piece, inside):
                found[piece.start + row] = Cell(name, error, piece.part, piece.first + row)
        return [found[int(row)] for row in rows]

    def containing(self, text: str) -> Bools:
        """Say which ids contain a text, whatever their case.

        Raises:
            StudioError: The files have changed.
        """
        found = [
            pc.match_substring(names.fill_null(""), text, ignore_case=True).to_numpy(
                zero_copy_only=False
            )
            for names in self.names()
        ]
        return np.concatenate(found) if found else np.zeros(0, np.bool_)

    def names(self) -> Iterator[Any]:
        """All ids in the order of the rows, some at a time, as Arrow arrays of strings.

        Raises:
            StudioError: The files have changed.
        """
        self.require_unchanged()
        for file in dict.fromkeys(piece.file for piece in self.pieces):
            with opened(file) as parquet:
                for batch in parquet.iter_batches(_BATCH, columns=["id"]):
                    yield batch.column("id").cast(pa.string())


def open_rows(path: Path) -> tuple[ParquetRows, Table]:
    """Read the numbers of all rows of a job, or of a file.

    Args:
        path: The job's folder, its folder `parts`, or a Parquet file.

    Returns:
        Where the rows are, and what is known of them.

    Raises:
        StudioError: They cannot be read, or are not of `evenface-batch`.
    """
    path = path.parent if path.name == "parts" and path.is_dir() else path
    files = _files(path)
    stamp = _stamp(files)
    pieces, marks, columns = _look(files)
    rows = sum(piece.rows for piece in pieces)
    if rows > MOST_ROWS:
        raise StudioError(
            "Too many rows",
            f"{rows:,} rows; the studio shows at most {MOST_ROWS:,}.",
            "Look at page.html of the job, or at some of its parts.",
            status=413,
            kind="too-large",
        )
    table = _read(files, pieces, rows, columns)
    plan = read_plan(path) if path.is_dir() else None
    missing = max(0, plan.listing.chunks - len(files)) if plan else 0
    found = ParquetRows(
        path, tuple(pieces), stamp, max(marks, default=b""), plan, missing, len(marks) > 1
    )
    found.require_unchanged()
    return found, table


@contextmanager
def opened(file: Path, coded: Sequence[str] = ()) -> Iterator[Any]:
    """Lend a `pyarrow.parquet.ParquetFile`.

    Args:
        file: To be read.
        coded: Columns of which texts are to come in the form of dictionaries.

    Raises:
        StudioError: It cannot be read, also where that shows only as it is read.
    """
    try:
        facts = pq.read_metadata(file)
        there = {facts.schema.column(place).path for place in range(facts.num_columns)}
        read = [name for name in coded if name in there]
        with pq.ParquetFile(
            file, metadata=facts, pre_buffer=False, memory_map=False, read_dictionary=read
        ) as parquet:
            yield parquet
    except (OSError, pa.ArrowException, IndexError) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise StudioError(
            "This file cannot be read",
            f"{file.name}: {reason}",
            "It is damaged, or no Parquet. Write it anew, with evenface-batch --resume say.",
            kind="damaged",
        ) from error


def _changed() -> StudioError:
    return StudioError(
        "This data set has changed", _CHANGED, "Open it again.", status=409, kind="changed"
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    folder = path / "parts"
    try:
        # Neither links, which may lead to where the studio must not look, nor pipes.
        with os.scandir(folder) as entries:
            plain = [one.name for one in entries if one.is_file(follow_symlinks=False)]
    except OSError:
        plain = []
    found = [folder / name for name in sorted(plain) if _PART.fullmatch(name)]
    if folder.is_symlink():
        found = []
    if not found:
        raise StudioError(
            "This job has no parts yet",
            f"There are no part files in {folder}.",
            "Wait until evenface-batch has written some, and open it again.",
        )
    return found


def _stamp(files: Iterable[Path]) -> Stamp:
    stamps = []
    for file in files:
        try:
            facts = file.stat()
        except OSError:
            stamps.append((file.name, -1, -1, -1))
        else:
            stamps.append((file.name, facts.st_size, facts.st_mtime_ns, facts.st_ino))
    return tuple(stamps)


def _look(files: Sequence[Path]) -> tuple[list[Piece], set[bytes], tuple[str, ...]]:
    """The row groups, the marks of the weightings, and the columns that may be labels."""
    pieces: list[Piece] = []
    marks: set[bytes] = set()
    columns: tuple[str, ...] = ()
    start = 0
    for number, file in enumerate(files):
        with opened(file) as parquet:
            schema = parquet.schema_arrow
            _check(file, schema)
            marks.add((schema.metadata or {}).get(WEIGHTING_MARK, b""))
            if number == 0:
                columns = tuple(_label_columns(schema))
            match = _PART.fullmatch(file.name)
            first = 0
            for group in range(parquet.metadata.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                part = int(match[1]) if match else -1
                pieces.append(Piece(file, part, group, start, first, rows))
                start, first = start + rows, first + rows
    return pieces, marks, columns


def _check(file: Path, schema: Any) -> None:  # noqa: ANN401 - pyarrow has no types
    kinds = {"id": is_text, "weight": pa.types.is_floating}
    optional = {"probability": pa.types.is_floating, "error": is_text}
    for name, test in (kinds | optional).items():
        place = schema.get_field_index(name)
        if place < 0 and name in optional:
            continue
        if place < 0 or not test(schema.field(place).type):
            known = ", ".join(schema.names[:20]) or "none"
            problem = (
                f"no column '{name}'" if place < 0 else f"'{name}' is {schema.field(place).type}"
            )
            raise StudioError(
                "Not a file of evenface-batch",
                f"{file.name}: {problem}; its columns are {known[:300]}.",
                "Open an output of evenface-batch, or one file with its columns id and weight.",
            )


def _label_columns(schema: Any) -> Iterator[str]:  # noqa: ANN401
    tests = (is_text, pa.types.is_boolean, pa.types.is_integer)
    names = (field.name for field in schema if any(test(_plain(field.type)) for test in tests))
    yield from [name for name in names if name not in _OWN][:MOST_COLUMNS]


def _read(
    files: Sequence[Path], pieces: Sequence[Piece], rows: int, columns: Sequence[str]
) -> Table:
    weights = np.full(rows, np.nan)
    probabilities = np.full(rows, np.nan, np.float32)
    failed = np.zeros(rows, np.bool_)
    coders = {name: LabelCoder(rows) for name in columns}
    starts = {piece.file: piece.start for piece in reversed(pieces)}
    for file in files:
        at = starts.get(file, rows)
        with opened(file, ("id", "error", *columns)) as parquet:
            there = set(parquet.schema_arrow.names)
            own = [name for name in ("weight", "probability") if name in there]
            texts = ["id", "error"] if "error" in there and _has_errors(parquet) else ["id"]
            require_short(file, parquet, texts)
            wanted = [name for name in columns if name in there and not coders[name].gave_up]
            wanted = [name for name in wanted if not are_long(parquet, name)]
            for batch in parquet.iter_batches(_BATCH, columns=[*own, *texts, *wanted]):
                end = at + len(batch)
                for name in texts:
                    require_short_ones(file, batch.column(name), name)
                for name, target in (("weight", weights), ("probability", probabilities)):
                    if name in own:
                        target[at:end] = _numbers(batch.column(name))
                if "error" in texts:
                    failed[at:end] = batch.column("error").is_valid().to_numpy(zero_copy_only=False)
                for name in wanted:
                    coders[name].put(at, batch.column(name))
                at = end
    return Table(weights, probabilities, failed, _labels(coders))


def _has_errors(parquet: Any) -> bool:  # noqa: ANN401
    """Whether any row has an error, by the statistics of the row groups."""
    for group in range(parquet.metadata.num_row_groups):
        facts = parquet.metadata.row_group(group)
        columns = (facts.column(place) for place in range(facts.num_columns))
        found = next((one for one in columns if one.path_in_schema == "error"), None)
        statistics = None if found is None else found.statistics
        if statistics is None or statistics.null_count != facts.num_rows:
            return True
    return False


def _plain(kind: Any) -> Any:  # noqa: ANN401
    """A type, or that of the values of a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _numbers(column: Any) -> NDArray[np.float64]:  # noqa: ANN401
    values = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    values[~((values >= 0) & (values <= _MOST_NUMBER))] = np.nan
    return values


def _labels(coders: Mapping[str, LabelCoder]) -> dict[str, Labels]:
    made = {name: coder.labels() for name, coder in coders.items()}
    return {name: labels for name, labels in made.items() if labels is not None}


def _picked(piece: Piece, inside: Places) -> Iterator[tuple[int, str, str | None]]:
    """Ids and errors of some rows of a row group, given in order."""
    done = 0
    with opened(piece.file) as parquet:
        columns = [name for name in ("id", "error") if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(_BATCH, row_groups=[piece.group], columns=columns):
            here = inside[(inside >= done) & (inside < done + len(batch))]
            for row in here:
                name = batch.column("id")[int(row) - done].as_py()
                error = (
                    batch.column("error")[int(row) - done].as_py() if "error" in columns else None
                )
                yield int(row), str(name), error
            done += len(batch)
            if not len(inside) or done > inside[-1]:
                return
