"""Reading files of any file system, never more of one than an image may have."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
from evenface_core.images import DEFAULT_LIMITS
from fsspec.core import split_protocol

from evenface_batch.items import Item
from evenface_batch.text import one_line

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
FILE_SUFFIXES = (*IMAGE_SUFFIXES, ".tar", ".parquet", ".txt", ".csv", ".tsv")
MAX_BYTES = DEFAULT_LIMITS.max_bytes
_TRIES = 3
_PAUSE = 0.5  # seconds, doubled at each try


class Unreachable(OSError):
    """A file that a far file system does not give for now."""


class NotAFile(OSError):
    """A folder, a device or a pipe, which might never end."""


def is_local(url: str) -> bool:
    """Whether a path or URL lies on a disk of this machine."""
    return split_protocol(url)[0] in (None, "file", "local")


def local_path(url: str) -> str:
    """The path of a local URL."""
    return str(split_protocol(url)[1])


def read_items(names: Sequence[tuple[str, str]]) -> Iterator[Item]:
    """Read a few image files, together where their file system can.

    Args:
        names: Ids, and paths or URLs.

    Returns:
        Their items in order.
    """
    remote = [url for _, url in names if not is_local(url)]
    found = dict(zip(remote, _read_remote(remote), strict=True)) if remote else {}
    for name, url in names:
        content = found[url] if url in found else _read_local(local_path(url))
        yield item(name, content)


def item(name: str, content: bytes | BaseException) -> Item:
    """An item of what reading gave; too large a file is an error."""
    if isinstance(content, BaseException):
        return Item(name, None, error_of(content))
    if len(content) > MAX_BYTES:
        return too_large(name, f"more than {MAX_BYTES}")
    return Item(name, content)


def too_large(name: str, size: object) -> Item:
    """An item that was not read."""
    return Item(name, None, f"too large: {size} bytes; limit {MAX_BYTES}")


def error_of(error: BaseException) -> str:
    """What an item says that could not be read for this error."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "missing: no such file"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    kind = "unreachable" if isinstance(error, Unreachable) else "unreadable"
    return one_line(f"{kind}: {text}")


def _read_local(path: str) -> bytes | OSError:
    try:
        # Without waiting for the other end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor is no path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return NotAFile("not a file")
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a zero in it is a ValueError
        return error if isinstance(error, OSError) else NotAFile(str(error))


def _read_remote(urls: Sequence[str]) -> list[bytes | BaseException]:
    """Read files, several times those that fail for what may pass."""
    found: dict[str, bytes | BaseException] = {}
    for attempt in range(_TRIES):
        missing = [url for url in dict.fromkeys(urls) if _may_pass(found.get(url))]
        if not missing:
            break
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        found |= _read_once(missing)
    return [_told(found[url]) for url in urls]


def _told(content: bytes | BaseException) -> bytes | BaseException:
    if isinstance(content, bytes) or not _may_pass(content):
        return content
    return Unreachable(getattr(content, "strerror", None) or str(content) or type(content).__name__)


def _may_pass(content: bytes | BaseException | None) -> bool:
    lasting = (FileNotFoundError, PermissionError, ValueError, ImportError)
    return content is None or (
        isinstance(content, BaseException) and not isinstance(content, lasting)
    )


def _read_once(urls: Sequence[str]) -> dict[str, bytes | BaseException]:
    found: dict[str, bytes | BaseException] = {}
    by_system: dict[int, tuple[Any, list[tuple[str, str]]]] = {}
    for url in urls:
        try:
            system, path = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            found[url] = error
        else:
            by_system.setdefault(id(system), (system, []))[1].append((url, path))
    for system, pairs in by_system.values():
        paths = [path for _, path in pairs]
        contents = system.cat_ranges(
            paths, [0] * len(paths), [MAX_BYTES + 1] * len(paths), on_error="return"
        )
        found |= dict(zip([url for url, _ in pairs], contents, strict=True))
    return found
