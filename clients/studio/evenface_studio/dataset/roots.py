"""The folders that the page may look into, and nothing outside them."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from evenface_studio.problems import StudioError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
JOB_FILE = "job.json"
Kind = Literal["job", "parquet", "folder"]

_DEPTH = 3  # folders below a root that are looked into for a list
_LISTED = 200
_LOOKED_AT = 20_000  # entries, so that a huge tree costs a second and not a minute


@dataclass(frozen=True)
class Found:
    """Something that can be shown.

    Attributes:
        path: Absolute, links resolved.
        kind: What `evenface-batch` wrote, one Parquet file, or a folder with images.
    """

    path: Path
    kind: Kind


class Roots:
    """Paths below which all that is read must lie, whatever links and dots a path has.

    Args:
        given: Folders, and Parquet files.

    Raises:
        OSError: One is not there.
    """

    def __init__(self, given: Sequence[Path]) -> None:
        self.paths = tuple(path.resolve(strict=True) for path in given)

    def holds(self, path: Path) -> bool:
        """Whether a path without links is a root or below one."""
        return any(path == root or root in path.parents for root in self.paths)

    def resolve(self, text: str) -> Path:
        """Find what a person wrote: an absolute path, or one below a root.

        Raises:
            StudioError: It is not there, or not below a root; of what is outside it tells nothing.
        """
        if not self.paths:
            raise StudioError(
                "No folder to look into",
                "The studio was started without --data.",
                "Start it with --data FOLDER: a folder of images or an output of evenface-batch.",
                status=403,
                kind="no-data",
            )
        for path in self._candidates(text.strip()):
            try:
                real = path.resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                continue
            if self.holds(real):
                return real
        shown = ", ".join(map(str, self.paths))
        raise StudioError(
            "Not there",
            f"'{text[:300]}' is not below {shown}.",
            "Pick one from the list, or start the studio with another --data.",
            status=404,
            kind="not-found",
        )

    def _candidates(self, text: str) -> Iterator[Path]:
        if not text or "\0" in text or len(text) > os.pathconf("/", "PC_PATH_MAX"):
            return
        for root in self.paths:
            yield root / text  # an absolute path stays as it is
            yield root.parent / text  # as the list shows it

    def listed(self) -> list[Found]:
        """What there is to show, as far as a short look finds."""
        budget = [_LOOKED_AT]
        found: list[Found] = []
        for root in self.paths:
            for one in _look(root, _DEPTH, budget):
                if len(found) == _LISTED:
                    return found
                found.append(one)
        return found

    def shown(self, path: Path) -> str:
        """A path as the list shows it: from the name of its root on."""
        for root in self.paths:
            if path == root or root in path.parents:
                return str(path.relative_to(root.parent))
        return str(path)


def kind_of(path: Path) -> Kind:
    """What a path is.

    Raises:
        StudioError: Nothing that can be shown.
    """
    try:
        if path.is_dir():
            if path.name == "parts" and (path.parent / JOB_FILE).is_file():
                return "job"
            return "job" if (path / JOB_FILE).is_file() else "folder"
    except OSError as error:
        raise StudioError(
            "Cannot be read", f"{path}: {error.strerror}", "Check its rights."
        ) from error
    if path.suffix.lower() == ".parquet" and path.is_file():
        return "parquet"
    raise StudioError(
        "Wrong kind of file",
        f"'{path.name}' is neither a folder nor a .parquet file.",
        "Pick a folder of images, an output folder of evenface-batch, or one Parquet file.",
    )


def read_below(roots: Roots, path: Path, most: int) -> bytes:
    """Read a file that must lie below a root, and be no more than so many bytes.

    Raises:
        OSError: It is not there, no plain file, too large, or outside.
    """
    with open_below(roots, path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(27, f"more than {most:,} bytes")
    return data


@contextmanager
def open_below(roots: Roots, path: Path) -> Iterator[IO[bytes]]:
    """Lend a file that must lie below a root.

    Raises:
        OSError: It is not there, no plain file, or outside.
    """
    real = path.resolve(strict=True)
    if not roots.holds(real):
        raise PermissionError(1, "outside the folders given with --data")
    # Links were resolved; whoever puts one in its place meanwhile gets an error.
    descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "not a file")
        yield file


def images_below(folder: Path) -> Iterator[str]:
    """The image files of a folder and of those below it, in order; links to folders are left out.

    A folder that cannot be opened is passed over.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        entries = _entries(folder / below)
        inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        waiting.extend(f"{below}{name}/" for name in reversed(inner))
        for entry in entries:
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.name not in inner:
                yield below + entry.name


def _look(path: Path, depth: int, budget: list[int]) -> Iterator[Found]:
    if path.is_file():
        if path.suffix.lower() == ".parquet":
            yield Found(path, "parquet")
        return
    entries = _entries(path)
    budget[0] -= len(entries)
    if any(entry.name == JOB_FILE for entry in entries):
        yield Found(path, "job")
        return
    files = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    if any(name.lower().endswith(IMAGE_SUFFIXES) for name in files):
        yield Found(path, "folder")
    for name in files:
        if name.lower().endswith(".parquet"):
            yield Found(path / name, "parquet")
    for entry in entries if depth else ():
        if budget[0] > 0 and entry.is_dir(follow_symlinks=False):
            yield from _look(path / entry.name, depth - 1, budget)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
