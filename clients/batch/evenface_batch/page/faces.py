"""Thumbnails of a few items, read again from where they came from."""

import base64
import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from evenface_core.errors import InvalidInput
from evenface_core.images import Preprocessing, load_image
from PIL import Image

from evenface_batch.items import Chunk, Item
from evenface_batch.page.findings import Spot

_SPEC = Preprocessing(size=112)
_QUALITY = 85

Place = tuple[int, int]


@dataclass(frozen=True)
class Face:
    """An item with its picture.

    Attributes:
        id: What it is called.
        multiple: Its weight, in multiples of the average.
        picture: A data URL; None where it could not be read again.
        problem: Why not.
    """

    id: str
    multiple: float
    picture: str | None = field(repr=False)
    problem: str | None

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2] or self.id


def read_faces(chunks: Iterable[Chunk], spots: Iterable[Spot]) -> Mapping[Place, Item]:
    """Read items again, going through the chunks once.

    Args:
        chunks: All of the job, in order.
        spots: Which ones.

    Returns:
        Items by number of part and row.
    """
    wanted: dict[int, set[int]] = {}
    for spot in spots:
        wanted.setdefault(spot.part, set()).add(spot.row)
    found: dict[Place, Item] = {}
    for chunk in chunks:
        rows = wanted.pop(chunk.index, None)
        if rows:
            with suppress(Exception):  # what has gone since must not stop a page
                for row, item in chunk.places.pick(frozenset(rows)):
                    found[chunk.index, row] = Item(item.id, item.data, item.error)
        if not wanted:
            break
    return found


def face(name: str, multiple: float, item: Item | None) -> Face:
    """Draw an item; one that has changed or vanished since says so."""
    picture = problem = None
    if item is None or item.data is None:
        problem = "no longer there" if item is None else item.error
    else:
        try:
            picture = _data_url(item.data)
        except InvalidInput as error:
            problem = error.problem
    return Face(name, multiple, picture, problem)


def _data_url(data: bytes) -> str:
    buffer = io.BytesIO()
    Image.fromarray(load_image(data, _SPEC)).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
