"""The files of the command line: images found, outputs checked before work and written after."""

import csv
import glob
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from evenface_core import histogram_files
from numpy.typing import NDArray

from evenface_client import Histogram
from evenface_client.cli.errors import CommandError

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_TILE, _PAGE = (
    128,
    4096,
)  # pixels: small images are enlarged to the first, pages kept below the other


def find_images(names: Sequence[str]) -> list[Path]:
    """Resolve files, folders and patterns; what is found in one argument is sorted.

    Raises:
        CommandError: A folder or pattern holds no image.
    """
    return [path for name in names for path in _found(name)]


def _found(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        below = path.rglob("*")
        found = [file for file in below if file.suffix.lower() in _IMAGE_SUFFIXES]
    elif glob.has_magic(name) and not path.exists():
        found = [Path(match) for match in glob.glob(name, recursive=True)]  # noqa: PTH207
    else:
        return [path]  # where it does not exist, the client says so
    if not found:
        raise CommandError(f"{name}: no images there")
    return sorted(found)


def check_output(path: Path | None, suffixes: Sequence[str]) -> None:
    """Make sure that a file can be written, before the work that fills it.

    Args:
        path: Where; None is fine.
        suffixes: The endings that the command can write.

    Raises:
        CommandError: Another ending, or Pillow is missing for a picture.
        OSError: The file cannot be written.
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise CommandError(f"{path}: can write {' or '.join(suffixes)}")
    if path.suffix.lower() == ".png":
        require_pillow()
    path.parent.mkdir(parents=True, exist_ok=True)
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Lend a scratch path that becomes `path` on success and is deleted on failure.

    So a full disk leaves neither half a file nor the ruins of an earlier one.

    Raises:
        CommandError: It cannot be written.
    """
    final = Path(os.path.realpath(path))  # a link goes on being one
    scratch = final.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield scratch
        scratch.replace(final)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    finally:
        scratch.unlink(missing_ok=True)


def require_pillow() -> None:
    """Make sure that pictures can be read and written.

    Raises:
        CommandError: Pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401, PLC0415
    except ImportError:
        raise CommandError("pictures need Pillow: pip install 'evenface[cli]'") from None


def write_pictures(path: Path, images: NDArray[np.uint8], columns: int | None = None) -> None:
    """Write images as a grid (.png) or as they are (.npy).

    Args:
        path: Where.
        images: uint8 [N, H, W, C].
        columns: Of the grid; None for as many as rows.
    """
    if path.suffix.lower() == ".npy":
        write_array(path, images)
        return
    from evenface_core.pictures import grid, save_png  # noqa: PLC0415

    across = columns or int(np.ceil(np.sqrt(len(images))))
    height = images.shape[1]
    scale = max(1, min(_TILE // height, _PAGE // (across * height)))
    with _replacing(path) as scratch:
        save_png(scratch, grid(images, across, scale=scale))


def as_seen(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An image about as the model sees it: upright, cropped to a square, of its size."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    height, width, channels = shape
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB" if channels > 1 else "L")
        fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(shape)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table; the bytes of a file's name that are no UTF-8 stay as they are."""
    with (
        _replacing(path) as scratch,
        scratch.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file."""
    # Not `np.save`, which takes no notice when the end of a file does not fit on the disk.
    header = np.lib.format.header_data_from_array_1_0(array)
    with _replacing(path) as scratch, scratch.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "fortran_order": False})
        file.write(np.ascontiguousarray(array).data)


def read_array(path: Path) -> NDArray[Any]:
    """Read an .npy file.

    Raises:
        CommandError: It is none.
        OSError: It cannot be read.
    """
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise CommandError(f"{path}: not an .npy file ({error})") from error
    return array


def write_histogram(path: Path, histogram: Histogram) -> None:
    """Write a histogram as .npz with `edges` and `counts`."""
    # An open file, because numpy would add its own ending to a path.
    with _replacing(path) as scratch, scratch.open("wb") as file:
        histogram_files.write_histogram(file, histogram)


def read_histogram(path: Path) -> Histogram:
    """Read what `write_histogram` wrote.

    Raises:
        InvalidInput: The file is another, or its numbers make no histogram.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return histogram_files.read_histogram(file, str(path))
