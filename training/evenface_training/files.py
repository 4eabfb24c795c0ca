"""Writing files so that a reader never meets half of one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evenface_core.errors import TrainingError


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
    """Lend a scratch path that becomes `path` on success and is deleted on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Drawn, because runs in two containers that share a cache may have the same process number.
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


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
