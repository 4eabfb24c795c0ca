"""Thumbnails of a data set's own images, and why there is none where there is none."""

import html
import io
import textwrap
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO

from evenface_core.errors import InvalidInput
from evenface_core.images import DEFAULT_LIMITS, Preprocessing, load_image
from PIL import Image

from evenface_studio.dataset.inside import GONE, Shard, Starts, Table
from evenface_studio.dataset.job import UNKNOWN, Files, Origins, Unheld, beside, local
from evenface_studio.dataset.pieces import Cell
from evenface_studio.dataset.roots import IMAGE_SUFFIXES, Roots, open_below, read_below

_SPEC = Preprocessing(size=176)
_QUALITY = 82
_MOST_STARTS = 64  # chunks of shards of which is known where samples begin

_ELSEWHERE = "not on this machine"
_MISSING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 176 176">
<rect width="176" height="176" fill="#8b928e" fill-opacity=".25"/>
<g fill="#767e79" font-family="sans-serif" font-size="20" text-anchor="middle">WORDS</g></svg>"""
_OUTSIDE = "outside the folders given with --data"


@dataclass(frozen=True)
class Inside:
    """An image that is no file of its own.

    Attributes:
        path: What holds it, links and dots resolved.
        origin: Where it is there.
    """

    path: Path
    origin: Shard | Table


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
    _starts: OrderedDict[Shard, Starts] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def find(self, cell: Cell) -> Path | Inside | str:
        """The file of an item, what holds it, or why there is neither."""
        if cell.part >= 0 and self.origins.by_chunk:
            return self._in_job(cell)
        for folder in self.folders:
            path = self._usable(folder / cell.id)
            if isinstance(path, Path):
                return path
        return GONE if self.folders else UNKNOWN

    def draw(self, cell: Cell) -> bytes:
        """Draw the thumbnail of an item, as JPEG.

        Raises:
            OSError: There is no image that may be read.
            InvalidInput: It is no image.
        """
        return thumbnail(self._read(self.find(cell), cell))

    def _in_job(self, cell: Cell) -> Path | Inside | str:
        origin = self.origins.of(cell.part)
        if origin is None:
            return UNKNOWN
        if isinstance(origin, Unheld):
            return origin.why
        if isinstance(origin, Files):
            path = origin.path(cell.id)
            return _ELSEWHERE if path is None else self._usable(path)
        holder = local(origin.url)
        found = _ELSEWHERE if holder is None else self._usable(holder, of_images=False)
        return found if isinstance(found, str) else Inside(found, origin)

    def _usable(self, path: Path, *, of_images: bool = True) -> Path | str:
        """A path that may be read, links and dots resolved."""
        try:
            real = path.resolve()
            if not self.roots.holds(real):
                return _OUTSIDE
            is_right = real.suffix.lower() in IMAGE_SUFFIXES or not of_images
            return real if is_right and real.is_file() else GONE
        except (OSError, RuntimeError, ValueError):
            return GONE

    def _read(self, place: Path | Inside | str, cell: Cell) -> bytes:
        if isinstance(place, str):
            raise FileNotFoundError(2, place)
        if isinstance(place, Path):
            return read_below(self.roots, place, DEFAULT_LIMITS.max_bytes)
        with open_below(self.roots, place.path) as file:
            if isinstance(place.origin, Shard):
                return self._sample(place.origin, file, cell)
            found = place.origin.read(file, cell)
        if isinstance(found, bytes):
            return found
        path = local(beside(place.origin.url.rpartition("/")[0] + "/", found))
        return self._read(_ELSEWHERE if path is None else self._usable(path), cell)

    def _sample(self, shard: Shard, file: IO[bytes], cell: Cell) -> bytes:
        """Read a sample's image; what is learnt of the shard is kept for the others."""
        with self._lock:
            starts = self._starts.get(shard, array("q"))[:]
        try:
            return shard.read(file, cell, starts)
        finally:
            with self._lock:
                if len(starts) >= len(self._starts.get(shard, ())):
                    self._starts[shard] = starts
                self._starts.move_to_end(shard)
                while len(self._starts) > _MOST_STARTS:
                    self._starts.popitem(last=False)


def missing(reason: str) -> bytes:
    """A picture, SVG, that says why there is none."""
    lines = textwrap.wrap(reason, 16, max_lines=6, placeholder="…")
    top = 107 - 12 * len(lines)
    words = "".join(
        f'<text x="88" y="{top + 24 * number}">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return _MISSING.replace("WORDS", words).encode()


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
