"""WebDataset shards: tar files in which neighbours of one name and many endings are one sample.

The standard library's tarfile is all that reading them in order takes.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

_MEMBER = re.compile(r"(?P<key>(?:.*/)?[^/.]+)\.(?P<ending>[^/]+)$")


@dataclass(frozen=True)
class Member:
    """A file of a shard; to be read, if at all, before the next one is asked for.

    Attributes:
        key: Of its sample: the name up to the first dot behind the last slash.
        ending: What follows that dot, in small letters.
        offset: Where its header begins in the shard, in bytes; reading may start there.
        size: Bytes of its content.
        read: Reads the content; raises `tarfile.TarError` where the shard is cut.
    """

    key: str
    ending: str
    offset: int
    size: int
    read: Callable[[], bytes]


def members(file: IO[bytes]) -> Iterator[Member]:
    """Go through a shard from where the file stands.

    Raises:
        tarfile.TarError: It is cut, damaged or no tar file.
        OSError: It cannot be read.
    """
    with _sound():
        tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closed below
    with tar:
        while (member := _next(tar)) is not None:
            tar.members.clear()  # type: ignore[attr-defined] # they would grow with the shard
            name = _MEMBER.match(member.name)
            if member.isfile() and name is not None:
                yield _member(tar, member, name)
        file.seek(tar.offset)
        _require_end(file.read(tarfile.RECORDSIZE), tar.offset)


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    with _sound():
        return tar.next()


@contextmanager
def _sound() -> Iterator[None]:
    """Tell by one error what tarfile tells of damaged headers by several: numbers, sizes, depth."""
    try:
        yield
    except (ValueError, OverflowError, RecursionError) as error:
        raise tarfile.ReadError("a header is damaged") from error


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, name: re.Match[str]) -> Member:
    def read() -> bytes:
        with _sound():
            content = tar.extractfile(member)
            return b"" if content is None else content.read()

    return Member(name["key"], name["ending"].lower(), member.offset, member.size, read)


def _require_end(rest: bytes, offset: int) -> None:
    """Tell the end of an archive from a cut or a damage, at which tarfile just stops."""
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise tarfile.ReadError(f"no end and no file at byte {offset}")
