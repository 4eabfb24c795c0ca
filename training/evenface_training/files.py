"""Writing files so that a reader never meets half of one."""

import os
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
    # The process number keeps two runs that share a cache out of each other's scratch file.
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a TrainingError that names `path`."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror or error}") from error
