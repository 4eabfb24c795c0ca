"""A source's images, decoded once and kept as a memory-mapped array beside a JSON listing."""

import base64
import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from evenface_core.errors import DataError, TrainingError
from evenface_core.images import Preprocessing
from numpy.typing import NDArray

from evenface_training.files import explained, name_bytes, replacing, write_atomically
from evenface_training.sources.columns import LabelColumn, LabelTable
from evenface_training.sources.decoding import decode_all
from evenface_training.sources.source import Item, Problem, Source, UInt8

UInt64 = NDArray[np.uint64]

_CACHE_VERSION = 2
_PARTITION = "partition"
_IMAGE_DIGEST_BYTES = 8  # among a million images, two unlike ones share it once in 30 million runs


@dataclass(frozen=True)
class BrokenFile:
    """An image that could not be decoded.

    Attributes:
        file: Its name in the source.
        problem: What is wrong with it, in a few words.
    """

    file: str
    problem: str


@dataclass(frozen=True)
class DecodedImages:
    """The readable images of a source.

    Attributes:
        path: Where they came from.
        images: uint8 [N, S, S, C], read-only, on disk until touched.
        files: Their N names.
        broken: The images left out.
        labels: What the source says of them, N values a column.
        partitions: `train`, `validation` or "" for each; None if the source has no partition.
        image_digests: uint64 [N]; the same for exact copies.
        digest: SHA-256 of names and pixels, the same on every machine.
        listing: JSON file in the cache that holds all but the pixels.
    """

    path: Path
    images: UInt8 = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    broken: tuple[BrokenFile, ...] = field(repr=False)
    labels: Mapping[str, LabelColumn] = field(repr=False)
    partitions: LabelColumn | None = field(repr=False)
    image_digests: UInt64 = field(repr=False)
    digest: str
    listing: Path


def open_images(source: Source, spec: Preprocessing, cache: Path) -> DecodedImages:
    """Decode a source's images, or find them in the cache.

    The cache is valid for exactly this state of the source and this preprocessing.

    Args:
        source: Where the images come from.
        spec: Size and crop of the decoded images.
        cache: Folder for the arrays; made where needed.

    Raises:
        DataError: The source cannot be read, or there is no readable image in it.
        TrainingError: The cache cannot be written or read.
    """
    key = f"{_CACHE_VERSION} {spec.model_dump_json()} {source.fingerprint()}"
    stem = f"{source.path.resolve().name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    # Not with_suffix: the name of a file has a point of its own.
    array_path, listing = cache / f"{stem}.npy", cache / f"{stem}.json"
    found = _open_cached(source.path, array_path, listing)
    if found is None:
        _decode_into(array_path, listing, source, spec)
        found = _open_cached(source.path, array_path, listing)
    if found is None:
        raise TrainingError(f"cannot read {array_path}, which has just been written")
    return found


def require_few_broken(images: DecodedImages, max_fraction: float) -> None:
    """Refuse a source with too many broken images.

    Raises:
        DataError: Names the count, the limit, the first such file and where the others are listed.
    """
    total = len(images.files) + len(images.broken)
    if len(images.broken) > max_fraction * total:
        first = images.broken[0]
        raise DataError(
            f"{images.path}: {len(images.broken)} of {total} files are broken, the limit is "
            f"{max_fraction:.1%} (data.max_broken_fraction); the first is {first.file}: "
            f"{first.problem}; all are listed in {images.listing}"
        )


def _open_cached(path: Path, array_path: Path, listing: Path) -> DecodedImages | None:
    try:
        known = json.loads(listing.read_text(encoding="utf-8"))
        images = np.load(array_path, mmap_mode="r", allow_pickle=False)
        labels = {name: LabelColumn.from_json(column) for name, column in known["labels"].items()}
        partitions = known["partitions"] and LabelColumn.from_json(known["partitions"])
        digests = np.frombuffer(base64.b64decode(known["image_digests"]), "<u8")
    except (OSError, ValueError, KeyError, EOFError):
        return None  # not there, or half of it was lost: decode again
    if len(images) != len(known["files"]):
        return None
    return DecodedImages(
        path=path,
        images=images,
        files=tuple(known["files"]),
        broken=tuple(BrokenFile(*item) for item in known["broken"]),
        labels=labels,
        partitions=partitions,
        image_digests=digests,
        digest=known["digest"],
        listing=listing,
    )


class _Listing:
    """All but the pixels, as it grows: names, labels and 8 bytes an image."""

    def __init__(self) -> None:
        self.broken: list[tuple[str, str]] = []
        self.files: list[str] = []
        self._labels, self._partitions = LabelTable(), LabelTable()
        self._partitioned = False
        self._image_digests = array("Q")
        self._digest = hashlib.sha256()

    def add(self, item: Item, pixels: bytes) -> None:
        self.files.append(item.name)
        self._labels.append(item.labels)
        self._partitions.append({_PARTITION: item.partition or ""})
        self._partitioned |= item.partition is not None
        digest = hashlib.sha256(pixels).digest()[:_IMAGE_DIGEST_BYTES]
        self._image_digests.append(int.from_bytes(digest, "little"))
        self._digest.update(name_bytes(item.name) + b"\0" + pixels)

    def to_json(self) -> dict[str, Any]:
        partitions = self._partitions.columns().get(_PARTITION)
        digests = np.frombuffer(self._image_digests, np.uint64).astype("<u8")
        return {
            "files": self.files,
            "broken": self.broken,
            "digest": self._digest.hexdigest(),
            "labels": {name: column.to_json() for name, column in self._labels.columns().items()},
            "partitions": partitions.to_json() if partitions and self._partitioned else None,
            "image_digests": base64.b64encode(digests.tobytes()).decode(),
        }


def _decode_into(array_path: Path, listing: Path, source: Source, spec: Preprocessing) -> None:
    """Write the array, then the listing that makes it valid."""
    known = _Listing()
    shape = (spec.size, spec.size, spec.channels)
    # Plain writes, not a writable memory map: on a full disk that would end in SIGBUS.
    with explained(array_path), replacing(array_path) as scratch, scratch.open("wb") as file:
        _write_header(file, 0, shape)
        for item, decoded in decode_all(source, _items(source), spec):
            if isinstance(decoded, Problem):
                known.broken.append((item.name, decoded.text))
                continue
            pixels = decoded.tobytes()
            file.write(pixels)
            known.add(item, pixels)
        _require_images(source, known)
        file.seek(0)
        _write_header(file, len(known.files), shape)
        file.flush()
        os.fsync(file.fileno())
    write_atomically(listing, json.dumps(known.to_json(), indent=0).encode())


def _items(source: Source) -> Iterator[Item]:
    """The items, with what cannot be read told apart from what cannot be written."""
    try:
        yield from source.items()
    except OSError as error:
        where = error.filename or source.path
        raise DataError(f"{where}: {error.strerror or error}") from error


def _require_images(source: Source, known: _Listing) -> None:
    if known.files:
        return
    if not known.broken:
        raise DataError(f"{source.path}: no images in it")
    (first, problem), count = known.broken[0], len(known.broken)
    raise DataError(
        f"{source.path}: not one of {count} image files can be read; {first}: {problem}"
    )


def _write_header(file: BinaryIO, rows: int, shape: tuple[int, int, int]) -> None:
    """Write a .npy header; numpy pads it so that another count of rows fits in its place."""
    np.lib.format.write_array_header_1_0(
        file,
        {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)},
    )
