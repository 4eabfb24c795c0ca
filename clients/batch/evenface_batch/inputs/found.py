"""The files of an input: one file, a pattern or a folder with all below it, local or remote."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import fsspec
from evenface_core.errors import JobError

from evenface_batch.output import reason_of
from evenface_batch.reading import FILE_SUFFIXES, is_local, local_path


@dataclass(frozen=True)
class Found:
    """Files of an input.

    Attributes:
        base: What every name is joined to, with a slash at the end if it is not empty.
        prefix: What the ids of the items begin with.
        list_prefix: The same for items that a list names, which need not lie below `base`.
        names: Gives the names in an order that never changes, holding those of one folder at once.
        is_file: Whether the input is one file, and not what a folder or pattern has.
        alone: Whether it is one file, and the only input.
    """

    base: str
    prefix: str
    list_prefix: str
    names: Callable[[], Iterator[str]] = field(repr=False)
    is_file: bool = False
    alone: bool = False


def find(url: str, shown: str, *, only: bool) -> Found:
    """Find an input.

    Args:
        url: Its absolute path or its URL.
        shown: What the user wrote for it; ids begin with it where there are other inputs.
        only: Whether there is no other.

    Raises:
        JobError: There is nothing there.
    """
    try:
        system, path = fsspec.core.url_to_fs(url)
        if not system.exists(path):
            return _matched(system, url, shown, only=only)
        if _is_folder(system, url, path):
            base, prefix = url.rstrip("/") + "/", "" if only else shown.rstrip("/") + "/"
            names = (
                (lambda: _walk(local_path(url)))
                if is_local(url)
                else (lambda: _walk_remote(system, path.rstrip("/"), path.rstrip("/")))
            )
            return Found(base, prefix, prefix, names)
    except (OSError, ValueError, ImportError) as error:
        raise JobError(f"{shown}: {reason_of(error)}") from error
    base, name = _split(url)
    prefix = "" if only else _split(shown)[0]
    return Found(base, prefix, prefix, lambda: iter([name]), is_file=True, alone=only)


def _is_folder(system: Any, url: str, path: str) -> bool:  # noqa: ANN401 - fsspec's
    # Over HTTP the only way to find out is to read the file and look for links.
    return bool((is_local(url) or not path.lower().endswith(FILE_SUFFIXES)) and system.isdir(path))


def _matched(system: Any, url: str, shown: str, *, only: bool) -> Found:  # noqa: ANN401 - fsspec's
    if not any(letter in url for letter in "*?["):
        unless = "" if is_local(url) else ", or it cannot be reached"
        raise JobError(f"{shown}: no such file or folder{unless}")
    fixed = url[: min(url.find(letter) for letter in "*?[" if letter in url)]
    base = _split(fixed)[0]
    start = len(system._strip_protocol(base))  # noqa: SLF001 - what fsspec's guide says to use
    matches = sorted(path[start:].lstrip("/") for path in system.glob(url))
    if not matches:
        raise JobError(f"{shown}: nothing matches")
    prefix = "" if only else _split(shown[: len(shown) - len(url) + len(fixed)])[0]
    return Found(base, prefix, prefix, lambda: iter(matches))


def _split(url: str) -> tuple[str, str]:
    folder, slash, name = url.rpartition("/")
    return folder + slash, name


def _walk(root: str) -> Iterator[str]:
    """The files of a folder and of those below; one that cannot be opened stands for its files."""
    left = [iter([("", True)])]  # of the folder, and of those down to where it stands
    while left:
        for name, is_folder in left[-1]:
            entries = _entries(root, name) if is_folder else None
            if entries is not None:
                left.append(entries)
                break
            yield name
        else:
            left.pop()


def _entries(root: str, below: str) -> Iterator[tuple[str, bool]] | None:
    """Names, each of them a folder's or not, in order; None where the folder cannot be opened."""
    try:
        with os.scandir(f"{root}/{below}") as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError:
        return None
    return ((f"{below}{name}{'/' * is_folder}", is_folder) for name, is_folder in found)


def _walk_remote(system: Any, folder: str, root: str) -> Iterator[str]:  # noqa: ANN401 - fsspec's
    entries = sorted((entry["name"], entry["type"]) for entry in system.ls(folder, detail=True))
    for path, kind in entries:
        name = path.rstrip("/")
        if not name.startswith(f"{folder}/"):  # the folder itself, or a link to elsewhere
            continue
        if kind == "directory":
            yield from _walk_remote(system, name, root)
        else:
            yield name[len(root) + 1 :]
