"""WebDataset shards: tar files in which files of one name and many endings are one sample."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from evenface_core.errors import DataError
from evenface_core.shards import members

from evenface_training.sources.columns import label_text
from evenface_training.sources.decoding import oversize
from evenface_training.sources.source import (
    IMAGE_SUFFIXES,
    Content,
    Item,
    Problem,
    fingerprint_files,
    list_shards,
)

_CLASS, _JSON = "cls", "json"

Sample = dict[str, bytes | Problem]  # by ending, in small letters


class WebdatasetSource:
    """The samples of tar files: an image (jpg, jpeg, png or webp) each, with a `json` or `cls`.

    Labels are the plain values of the `json`, and `cls`.

    Args:
        path: A tar file, or a folder searched for `*.tar`.

    Raises:
        DataError: There is no such file or folder, or no tar file in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shards = list_shards(path, ".tar", "tar")

    def fingerprint(self) -> str:
        """Names, sizes and times of the shards."""
        return fingerprint_files("webdataset", self._shards)

    def count(self) -> None:
        """Unknown: the shards say it only at their end."""

    def items(self) -> Iterator[Item]:
        """Yield the samples, shard by shard."""
        for prefix, path in self._shards:
            try:
                for key, sample in _read_samples(path):
                    yield _item(f"{prefix}{key}", sample)
            except tarfile.TarError as error:
                raise DataError(f"{path}: cut, damaged or no tar file ({error})") from error


def _read_samples(path: Path) -> Iterator[tuple[str, Sample]]:
    """Gather neighbours of one key."""
    current: str | None = None
    sample: Sample = {}
    for key, ending, data in _read_members(path):
        if key != current:
            if current is not None:
                yield current, sample
            current, sample = key, {}
        sample[ending] = data
    if current is not None:
        yield current, sample


def _read_members(path: Path) -> Iterator[tuple[str, str, bytes | Problem]]:
    with path.open("rb") as file:
        for member in members(file):
            yield member.key, member.ending, oversize(member.size) or member.read()


def _item(name: str, sample: Sample) -> Item:
    labels: dict[str, str] = {}
    content: Content = Problem("no jpg, jpeg, png or webp in this sample")
    try:
        for ending, data in sample.items():
            if f".{ending}" in IMAGE_SUFFIXES:
                content = data
            elif isinstance(data, bytes) and ending == _CLASS:
                labels[_CLASS] = data.decode().strip()
            elif isinstance(data, bytes) and ending == _JSON:
                labels |= _plain_values(data)
    except ValueError as error:  # of json and of UTF-8 alike
        content = Problem(f"{ending}: {error}")
    return Item(name, content, labels)


def _plain_values(data: bytes) -> dict[str, str]:
    known = json.loads(data)
    if not isinstance(known, dict):
        raise ValueError("no mapping of names to values")  # noqa: TRY004 - caught as a bad value
    return {
        name: label_text(value)
        for name, value in known.items()
        if not isinstance(value, dict | list)
    }
