"""Folders of image files, decoded once and kept as memory-mapped arrays.

Uses the one decoding function that the server uses too. Knows nothing of training.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from evenface_core.errors import DataError, InvalidInput, TrainingError
from evenface_core.images import DEFAULT_LIMITS, Preprocessing, load_image
from numpy.typing import NDArray
from tqdm import tqdm

from evenface_training.files import explained, name_bytes, replacing, write_atomically

UInt8 = NDArray[np.uint8]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_CACHE_VERSION = 1
_FILES_A_TASK = 8
_TASKS_A_WORKER = 2  # under way at once: bounds what is decoded and not yet written

Decoded = tuple[str, UInt8 | str]  # a file, and its pixels or what is wrong with it


@dataclass(frozen=True)
class BrokenFile:
    """A file that could not be decoded.

    Attributes:
        file: Path below the folder, with forward slashes.
        problem: What is wrong with it, in a few words.
    """

    file: str
    problem: str


@dataclass(frozen=True)
class ImageFolder:
    """The readable images of a folder.

    Attributes:
        folder: Where they came from.
        images: uint8 [N, S, S, C], read-only, on disk until touched.
        files: N paths below the folder, with forward slashes, sorted.
        broken: The files left out.
        digest: SHA-256 of names and pixels, the same on every machine.
        listing: JSON file in the cache that holds all but the pixels.
    """

    folder: Path
    images: UInt8 = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    broken: tuple[BrokenFile, ...] = field(repr=False)
    digest: str
    listing: Path


def open_folder(folder: Path, spec: Preprocessing, cache: Path) -> ImageFolder:
    """Decode a folder's images, or find them in the cache.

    The cache is valid for exactly this list of files with these sizes and times of change, and
    this preprocessing.

    Args:
        folder: Searched recursively for JPEG, PNG and WebP files.
        spec: Size and crop of the decoded images.
        cache: Folder for the arrays; made where needed.

    Raises:
        DataError: There is no such folder or no readable image in it.
        TrainingError: The cache cannot be written or read.
    """
    files = _list_images(folder)
    stem = cache / f"{folder.resolve().name}-{_cache_key(folder, files, spec)[:24]}"
    array, listing = stem.with_suffix(".npy"), stem.with_suffix(".json")
    found = _open_cached(folder, array, listing)
    if found is None:
        _decode_into(array, listing, folder, files, spec)
        found = _open_cached(folder, array, listing)
    if found is None:
        raise TrainingError(f"cannot read {array}, which has just been written")
    return found


def require_few_broken(folder: ImageFolder, max_fraction: float) -> None:
    """Refuse a folder with too many broken files.

    Raises:
        DataError: Names the count, the limit, the first such file and where the others are listed.
    """
    total = len(folder.files) + len(folder.broken)
    if len(folder.broken) > max_fraction * total:
        first = folder.broken[0]
        raise DataError(
            f"{folder.folder}: {len(folder.broken)} of {total} files are broken, the limit is "
            f"{max_fraction:.1%} (data.max_broken_fraction); the first is {first.file}: "
            f"{first.problem}; all are listed in {folder.listing}"
        )


def _list_images(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    if not files:
        raise DataError(f"{folder}: no JPEG, PNG or WebP files")
    return files


def _cache_key(folder: Path, files: Sequence[str], spec: Preprocessing) -> str:
    digest = hashlib.sha256(f"{_CACHE_VERSION} {spec.model_dump_json()}".encode())
    for file in files:
        status = (folder / file).stat()
        digest.update(name_bytes(file) + f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _open_cached(folder: Path, array: Path, listing: Path) -> ImageFolder | None:
    try:
        known = json.loads(listing.read_text(encoding="utf-8"))
        images = np.load(array, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # not there, or half of it was lost: decode again
    if len(images) != len(known["files"]):
        return None
    return ImageFolder(
        folder=folder,
        images=images,
        files=tuple(known["files"]),
        broken=tuple(BrokenFile(*item) for item in known["broken"]),
        digest=known["digest"],
        listing=listing,
    )


def _decode_into(
    array: Path, listing: Path, folder: Path, files: Sequence[str], spec: Preprocessing
) -> None:
    """Write the array, then the listing that makes it valid."""
    good: list[str] = []
    broken: list[tuple[str, str]] = []
    digest = hashlib.sha256()
    shape = (spec.size, spec.size, spec.channels)
    # Plain writes, not a writable memory map: on a full disk that would end in SIGBUS.
    with explained(array), replacing(array) as scratch, scratch.open("wb") as file:
        _write_header(file, len(files), shape)
        for name, decoded in _decode_all(folder, files, spec):
            if isinstance(decoded, str):
                broken.append((name, decoded))
                continue
            good.append(name)
            pixels = decoded.tobytes()
            file.write(pixels)
            digest.update(name_bytes(name) + b"\0" + pixels)
        if not good:
            (first, problem), count = broken[0], len(files)
            raise DataError(
                f"{folder}: not one of {count} image files can be read; {first}: {problem}"
            )
        file.seek(0)
        _write_header(file, len(good), shape)
        file.flush()
        os.fsync(file.fileno())
    known = {"files": good, "broken": broken, "digest": digest.hexdigest()}
    write_atomically(listing, json.dumps(known, indent=0).encode())


def _write_header(file: object, rows: int, shape: tuple[int, int, int]) -> None:
    """Write a .npy header; numpy pads it so that another count of rows fits in its place."""
    np.lib.format.write_array_header_1_0(
        file,  # type: ignore[arg-type]
        {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)},
    )


def _decode_all(folder: Path, files: Sequence[str], spec: Preprocessing) -> Iterator[Decoded]:
    """Yield each file with its pixels or what is wrong with it, in order."""
    bar = tqdm(total=len(files), desc=f"decoding {folder.name}", unit="file", disable=None)
    try:
        for results in _decode_tasks(folder, files, spec):
            yield from results
            bar.update(len(results))
    finally:
        bar.close()


def _decode_tasks(
    folder: Path, files: Sequence[str], spec: Preprocessing
) -> Iterator[list[Decoded]]:
    """Decode on all cores, but no further ahead of the caller than a few tasks a core."""

    def decode(chunk: Sequence[str]) -> list[Decoded]:
        return [(file, _decode_one(folder / file, spec)) for file in chunk]

    workers = os.cpu_count() or 1
    # Threads are enough: Pillow releases the interpreter lock while it decodes.
    pool = ThreadPoolExecutor(workers)
    under_way: deque[Future[list[Decoded]]] = deque()
    try:
        for start in range(0, len(files), _FILES_A_TASK):
            under_way.append(pool.submit(decode, files[start : start + _FILES_A_TASK]))
            if len(under_way) == _TASKS_A_WORKER * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(path: Path, spec: Preprocessing) -> UInt8 | str:
    try:
        size, limit = path.stat().st_size, DEFAULT_LIMITS.max_bytes
        if size > limit:  # said before it is read, for it may not fit in memory
            return f"{size} bytes; limit {limit}"
        return load_image(path.read_bytes(), spec)
    except InvalidInput as error:
        return error.problem
    except OSError as error:
        return error.strerror or str(error)
