"""What every source of images is to the rest: items, one after the other.

Knows nothing of decoding, caching or training.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from evenface_core.errors import DataError
from numpy.typing import NDArray

from evenface_training.files import name_bytes

UInt8 = NDArray[np.uint8]
Partition = Literal["train", "validation"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Problem:
    """What stands in the place of an image that a source cannot give.

    Attributes:
        text: What is wrong with it, in a few words.
    """

    text: str


Content = Path | bytes | UInt8 | Problem


@dataclass(frozen=True)
class Item:
    """One image of a source, not decoded yet.

    Attributes:
        name: Its name, unlike any other of the source; the split follows from it.
        content: The image file as a path or as bytes, or pixels uint8 [H, W, 3] in RGB.
        labels: What the source knows of it, by column; "" or no entry is unknown.
        partition: Where the data set's authors put it; None if they say nothing.
    """

    name: str
    content: Content = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    partition: Partition | None = None


class Source(Protocol):
    """Images and what is known of them."""

    @property
    def path(self) -> Path:
        """The file or folder that a user named."""

    def fingerprint(self) -> str:
        """Say what the items follow from; decoded images are kept for as long as it stays.

        Raises:
            DataError: The source is not there or not of its kind.
        """

    def count(self) -> int | None:
        """How many items there will be, where that is known beforehand."""

    def items(self) -> Iterator[Item]:
        """Yield the items in an order that never changes, reading no further than asked.

        Raises:
            DataError: The source is cut, damaged or lacks a part.
            OSError: It cannot be read.
        """


def fingerprint_files(kind: str, files: Iterable[tuple[str, Path]]) -> str:
    """Fingerprint files by name, size and time of change.

    Args:
        kind: What else the items follow from, such as the kind of source.
        files: Names, and where the files lie; one that is not there counts as such.

    Returns:
        SHA-256, in hexadecimal digits.
    """
    digest = hashlib.sha256(f"{kind}\0".encode())
    for name, path in files:
        try:
            status = path.stat()
            known = f"\0{status.st_size}\0{status.st_mtime_ns}\0"
        except FileNotFoundError:
            known = "\0absent\0"
        digest.update(name_bytes(name) + known.encode())
    return digest.hexdigest()


def list_files(folder: Path, suffixes: Iterable[str], what: str) -> list[str]:
    """List a folder's files, searched recursively.

    Args:
        folder: The folder.
        suffixes: Endings of their names, in small letters.
        what: What they are, for errors.

    Returns:
        Paths below the folder with forward slashes, sorted.

    Raises:
        DataError: There is no such folder or no such file in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    wanted = frozenset(suffixes)
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in wanted and path.is_file()
    )
    if not files:
        raise DataError(f"{folder}: no {what} files")
    return files


def list_shards(path: Path, suffix: str, what: str) -> list[tuple[str, Path]]:
    """List the files of a source that is one file, or a folder of them.

    Returns:
        What the names of a file's items begin with ("" where it is the only one) and where the
        file lies, sorted.

    Raises:
        DataError: There is no such file or folder, or no such file in it.
    """
    if path.is_file():
        return [("", path)]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    return [(f"{name}/", path / name) for name in list_files(path, (suffix,), what)]
