"""Thumbnails of a data set's own images, and why there is none where there is none."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from evenface_core.errors import InvalidInput
from evenface_core.images import DEFAULT_LIMITS, Preprocessing, load_image
from PIL import Image

from evenface_studio.dataset.job import Origins
from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.roots import IMAGE_SUFFIXES, Roots, read_below

_SPEC = Preprocessing(size=176)
_QUALITY = 82

_INSIDE = {
    "shard": "inside a WebDataset shard; page.html of the job shows some",
    "table": "inside a Parquet file; page.html of the job shows some",
}
_ELSEWHERE = "not on this machine"
_UNKNOWN = "the data set does not say where its images are"
_OUTSIDE = "outside the folders given with --data"
_GONE = "no longer there"


@dataclass(frozen=True)
class Pictures:
    """Where the images of one data set are.

    Attributes:
        roots: What may be read.
        folders: In which the ids are names of files; of several the first that has it.
        origins: Of a job's images, by number of the part.
    """

    roots: Roots
    folders: tuple[Path, ...] = ()
    origins: Origins = field(default_factory=Origins)

    def find(self, cell: Cell) -> Path | str:
        """The file of an item, or why there is none."""
        if cell.part >= 0 and self.origins.by_chunk:
            return self._in_job(cell)
        for folder in self.folders:
            path = self._usable(folder / cell.id)
            if isinstance(path, Path):
                return path
        return _GONE if self.folders else _UNKNOWN

    def draw(self, cell: Cell) -> bytes:
        """Draw the thumbnail of an item, as JPEG.

        Raises:
            OSError: There is no file that may be read.
            InvalidInput: It is no image.
        """
        path = self.find(cell)
        if isinstance(path, str):
            raise FileNotFoundError(2, path)
        return thumbnail(read_below(self.roots, path, DEFAULT_LIMITS.max_bytes))

    def _in_job(self, cell: Cell) -> Path | str:
        origin = self.origins.of(cell.part)
        if origin is None:
            return _UNKNOWN
        if origin.kind != "files":
            return _INSIDE.get(origin.kind, _UNKNOWN)
        path = origin.path(cell.id)
        return _ELSEWHERE if path is None else self._usable(path)

    def _usable(self, path: Path) -> Path | str:
        """A path that may be read, links and dots resolved."""
        try:
            real = path.resolve()
            if not self.roots.holds(real):
                return _OUTSIDE
            is_image = real.suffix.lower() in IMAGE_SUFFIXES and real.is_file()
        except (OSError, RuntimeError, ValueError):
            return _GONE
        return real if is_image else _GONE


def thumbnail(data: bytes) -> bytes:
    """Shrink an image file to a square JPEG.

    Raises:
        InvalidInput: It is no image, or has too many pixels.
    """
    buffer = io.BytesIO()
    Image.fromarray(load_image(data, _SPEC)).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def why(error: OSError | InvalidInput) -> str:
    """Why there is no thumbnail, in a few words."""
    if isinstance(error, InvalidInput):
        return error.problem
    return str(error.strerror or error)
