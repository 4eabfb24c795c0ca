"""The HDF5 file of MIT's lab: `images` and `labels`, faces and non-faces."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from evenface_core.errors import DataError

from evenface_training.sources.columns import label_text
from evenface_training.sources.extras import require
from evenface_training.sources.source import Item, fingerprint_files

_IMAGES, _LABELS = "images", "labels"
_LABEL_COLUMN = "label"
_ROWS = 64  # read at once where the file has no chunks of its own
_MAX_BYTES = 64 * 2**20  # read at once at most
_RGB = 3


class Hdf5Source:
    """The images of an HDF5 file, read chunk by chunk.

    The label of an image is in the column `label`; in the lab's file it is `1` for a face.

    Args:
        path: The file; `images` is uint8 [N, H, W, 3], `labels` is a number an image.
        channel_order: Of the pixels; OpenCV, and so the lab's file, has BGR.

    Raises:
        DataError: There is no such file, or h5py is not installed.
    """

    def __init__(self, path: Path, channel_order: Literal["bgr", "rgb"] = "bgr") -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        self.path = path
        self._reversed = channel_order == "bgr"
        self._h5py = require("h5py", "hdf5")

    def fingerprint(self) -> str:
        """Size and time of the file, and the order of the channels."""
        kind = f"hdf5 {_IMAGES} {_LABELS} {self._reversed}"
        return fingerprint_files(kind, [(self.path.name, self.path)])

    def count(self) -> int:
        """How many images there are."""
        with self._open() as (images, _):
            return len(images)

    def items(self) -> Iterator[Item]:
        """Yield the images by row; a name is the row's number."""
        with self._open() as (images, labels):
            rows = _rows_at_once(images)
            for start in range(0, len(images), rows):
                pixels, values = self._read(images, labels, slice(start, start + rows))
                for place, (image, value) in enumerate(zip(pixels, values, strict=True), start):
                    yield Item(f"{place:08}", image, {_LABEL_COLUMN: label_text(value)})

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """The two data sets, checked, for as long as the file is open."""
        try:
            file = self._h5py.File(self.path, "r")
        except OSError as error:
            raise self._damaged(error) from error
        with file:
            images, labels = (self._data_set(file, name) for name in (_IMAGES, _LABELS))
            if images.ndim != 4 or images.shape[-1] != _RGB or images.dtype != np.uint8:  # noqa: PLR2004
                raise DataError(
                    f"{self.path}: '{_IMAGES}' is {images.dtype} {list(images.shape)}; it must be "
                    "uint8 [N, H, W, 3]"
                )
            numbers = labels.dtype.kind in "biuf" and labels.shape[:1] == images.shape[:1]
            if not numbers or labels.size != len(images):
                raise DataError(
                    f"{self.path}: '{_LABELS}' is {labels.dtype} {list(labels.shape)}; it must be "
                    f"one number for each of {len(images)} images"
                )
            yield images, labels

    def _data_set(self, file: Any, name: str) -> Any:  # noqa: ANN401 - h5py has no types
        found = file.get(name)
        if not isinstance(found, self._h5py.Dataset):
            raise DataError(
                f"{self.path}: no data set '{name}'; it has {', '.join(sorted(file)) or 'none'}"
            )
        return found

    def _read(self, images: Any, labels: Any, rows: slice) -> tuple[Any, Any]:  # noqa: ANN401
        try:
            pixels, values = images[rows], labels[rows].reshape(-1)
        except OSError as error:
            raise self._damaged(error) from error
        return pixels[..., ::-1] if self._reversed else pixels, values

    def _damaged(self, error: OSError) -> DataError:
        return DataError(f"{self.path}: cut, damaged or no HDF5 file ({error})")


def _rows_at_once(images: Any) -> int:  # noqa: ANN401 - h5py has no types
    """A whole chunk where it fits, because each is decompressed as a whole."""
    wanted = images.chunks[0] if images.chunks else _ROWS
    row_bytes = max(1, int(np.prod(images.shape[1:])))
    return max(1, min(wanted, _MAX_BYTES // row_bytes))
