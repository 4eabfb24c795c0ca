"""Inputs: from what a user names to chunks, in an order that never changes.

What is in memory at once: the names in one folder, or one chunk's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evenface_core.errors import JobError

from evenface_batch.inputs.files import FilePlaces, image_files, listed_files
from evenface_batch.inputs.found import Found, find
from evenface_batch.inputs.shards import ShardPlaces, shard_chunks
from evenface_batch.inputs.tables import TablePlaces, table_chunks
from evenface_batch.items import Places
from evenface_batch.plan import InputFacts, Kind
from evenface_batch.reading import IMAGE_SUFFIXES

DEFAULT_COLUMN = "image"

_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "images": IMAGE_SUFFIXES,
    "webdataset": (".tar",),
    "parquet": (".parquet",),
    "list": (".txt", ".csv", ".tsv"),
}
_IN_FOLDERS: tuple[Kind, ...] = ("images", "webdataset", "parquet")
_OF_LINES: Mapping[str, Callable[[dict[str, Any]], Places]] = {
    "files": FilePlaces.of_line,
    "shard": ShardPlaces.of_line,
    "table": TablePlaces.of_line,
}


def find_places(facts: InputFacts, shown: Sequence[str], chunk_size: int) -> Iterator[Places]:
    """Go through inputs and cut them into places for chunks.

    Args:
        facts: What was asked for.
        shown: As the user wrote the inputs, in the order of `facts.urls`.
        chunk_size: Most items a chunk.

    Raises:
        JobError: An input is not there, holds nothing to score, or lacks a column.
    """
    for url, written in zip(facts.urls, shown, strict=True):
        found = find(url, written, only=len(facts.urls) == 1)
        kind = facts.kind or _kind_of(found, written)
        some = False
        for places in _cut(_only(found, kind, written, facts), kind, facts, chunk_size):
            some = True
            yield places
        if not some:
            missing = "it is empty" if found.is_file else f"no {' or '.join(_SUFFIXES[kind])} in it"
            raise JobError(f"{written}: nothing to score: {missing}")


def places_of(line: dict[str, Any]) -> Places:
    """Make the places that gave a line of the listing."""
    return _OF_LINES[line["kind"]](line)


def _cut(found: Found, kind: Kind, facts: InputFacts, chunk_size: int) -> Iterator[Places]:
    if kind == "webdataset":
        return shard_chunks(found, chunk_size)
    if kind == "parquet":
        column = facts.column or DEFAULT_COLUMN
        return table_chunks(found, column, facts.id_column, chunk_size)
    if kind == "list":
        return listed_files(found, facts.column, chunk_size)
    return image_files(found, chunk_size)


def _kind_of(found: Found, shown: str) -> Kind:
    """The kind of the first file that is of any."""
    for name in found.names():
        for kind, suffixes in _SUFFIXES.items():
            if name.lower().endswith(suffixes) and (kind in _IN_FOLDERS or found.is_file):
                return kind
    known = [of for kind in _IN_FOLDERS for of in _SUFFIXES[kind]]
    raise JobError(f"{shown}: nothing to score: no {', '.join(known)}")


def _only(found: Found, kind: Kind, shown: str, facts: InputFacts) -> Found:
    """The files of a kind; to have found others is an error where no kind was asked for."""

    def names() -> Iterator[str]:
        for name in found.names():
            low = name.lower()
            if low.endswith((*_SUFFIXES[kind], "/")) or found.is_file:
                yield name
            elif facts.kind is None and _is_of_another(low, kind):
                raise JobError(
                    f"{shown}: holds {kind} and '{name}'; say which to score with --kind"
                )

    return replace(found, names=names)


def _is_of_another(name: str, kind: Kind) -> bool:
    return any(name.endswith(_SUFFIXES[other]) for other in _IN_FOLDERS if other != kind)
