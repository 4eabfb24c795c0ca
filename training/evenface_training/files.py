"""Writing files so that a reader never meets half of one."""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evenface_core.errors import TrainingError

_SCRATCH = re.compile(r"\.[0-9a-f]{16}\.tmp$")


def write_atomically(path: Path, data: bytes) -> None:
    """Put a file in place in one move, after its bytes have reached the disk.

    Raises:
        TrainingError: The disk is full or the folder cannot be written; names the file.
    """
    with explained(path), replacing(path) as scratch, scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a scratch file that becomes `path` on success and is deleted on failure.

    Scratch files that killed processes have left in the folder are deleted too: the lock on them
    has gone with their process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_abandoned(path.parent)
    scratch, lock = _begin(path)
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
        os.close(lock)


def name_bytes(file: str) -> bytes:
    """The bytes of a file's name, those included that are no UTF-8."""
    return file.encode(errors="surrogateescape")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a TrainingError that names `path`."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror or error}") from error


def _begin(path: Path) -> tuple[Path, int]:
    """Make a scratch file and lock it for as long as the descriptor stays open."""
    while True:
        # Drawn, because runs in two containers that share a cache may have the same process number.
        scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
        lock = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return scratch, lock
        os.close(lock)  # another took it for abandoned before it was locked


def _delete_abandoned(folder: Path) -> None:
    for scratch in folder.iterdir():
        if _SCRATCH.search(scratch.name):
            with suppress(OSError):  # locked by a living process, or already gone
                _delete_unlocked(scratch)


def _delete_unlocked(scratch: Path) -> None:
    lock = os.open(scratch, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        scratch.unlink()
    finally:
        os.close(lock)
