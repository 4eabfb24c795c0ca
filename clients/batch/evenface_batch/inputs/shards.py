"""WebDataset shards.

Those of a local disk are cut into chunks, as their headers are quick to read; of others, a shard is
a chunk.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import fsspec
from evenface_core.shards import Member, members

from evenface_batch.inputs.found import Found
from evenface_batch.items import Item
from evenface_batch.output import reason_of
from evenface_batch.reading import IMAGE_SUFFIXES, MAX_BYTES, is_local, too_large
from evenface_batch.text import one_line


@dataclass(frozen=True)
class ShardPlaces:
    """Samples of a shard that follow one another.

    Attributes:
        url: Of the shard.
        prefix: What their ids begin with; the key follows.
        offset: Where the first one begins, in bytes.
        samples: How many they are; None where nobody has counted.
        to_end: Whether the shard's last samples are among them.
    """

    url: str
    prefix: str
    offset: int = 0
    samples: int | None = None
    to_end: bool = True

    @property
    def count(self) -> int | None:
        """How many samples."""
        return self.samples

    def items(self) -> Iterator[Item]:
        """Read the samples; where the shard breaks off, one item says so."""
        try:
            for key, sample in self._samples():
                yield _item(self.prefix + key, sample)
        except (tarfile.TarError, OSError, EOFError) as error:
            yield Item(self._name, None, _broken(error))

    def ids(self) -> Iterator[str]:
        """Read the headers of the samples."""
        try:
            for key, _ in self._samples():
                yield self.prefix + key
        except (tarfile.TarError, OSError, EOFError):
            yield self._name

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        """Read the samples and keep some."""
        last = max(rows, default=-1)
        for row, item in zip(range(last + 1), self.items(), strict=False):
            if row in rows:
                yield row, item

    def to_line(self) -> dict[str, Any]:
        """As a line of the listing."""
        return {
            "kind": "shard",
            "url": self.url,
            "prefix": self.prefix,
            "offset": self.offset,
            "samples": self.samples,
            "to_end": self.to_end,
        }

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> "ShardPlaces":
        """From a line of the listing."""
        return cls(**{key: value for key, value in line.items() if key != "kind"})

    @property
    def _name(self) -> str:
        """What the shard itself is called, where it breaks off."""
        return self.prefix.rstrip("/") or self.url.rpartition("/")[2]

    def _samples(self) -> Iterator[tuple[str, Iterator[Member]]]:
        with fsspec.open(self.url, "rb") as file:
            file.seek(self.offset)
            seen = 0
            for key, sample in groupby(members(file), key=lambda member: member.key):
                if not self.to_end and seen == self.samples:
                    return
                yield key, sample
                seen += 1
        if seen < (self.samples or 0):
            raise tarfile.ReadError(f"of {self.samples} samples that were here {seen} are left")


def shard_chunks(found: Found, chunk_size: int) -> Iterator[ShardPlaces]:
    """Cut shards into chunks; one that cannot be read is a chunk, which will say so."""
    for name in found.names():
        prefix = found.prefix if found.alone else f"{found.prefix}{name}/"
        whole = ShardPlaces(found.base + name, prefix)
        yield from _cut(whole, chunk_size) if is_local(whole.url) else iter([whole])


def _cut(whole: ShardPlaces, chunk_size: int) -> Iterator[ShardPlaces]:
    start = replace(whole, samples=0, to_end=False)
    try:
        with fsspec.open(whole.url, "rb") as file:
            key = None
            for member in members(file):
                if member.key == key:
                    continue
                key = member.key
                if start.samples == chunk_size:
                    yield start
                    start = replace(start, offset=member.offset, samples=0)
                start = replace(start, samples=(start.samples or 0) + 1)
    except (tarfile.TarError, OSError, EOFError):
        start = replace(start, samples=None)
    yield replace(start, to_end=True)


def _item(name: str, sample: Iterator[Member]) -> Item:
    for member in sample:
        if f".{member.ending}" in IMAGE_SUFFIXES:
            if member.size > MAX_BYTES:
                return too_large(name, member.size)
            return Item(name, member.read())
    return Item(name, None, "no image: no jpg, jpeg, png or webp in this sample")


def _broken(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing: no such shard"
    return one_line(f"broken shard: what follows the rows before is lost ({reason_of(error)})")
