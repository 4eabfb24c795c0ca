"""The synthetic benchmark as a source: images that are drawn, not read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from evenface_core.errors import DataError

from evenface_training.sources.settings import SyntheticSettings
from evenface_training.sources.source import Item
from evenface_training.synthetic.config import MAX_SIZE, MIN_SIZE, SIZE_STEP, SyntheticConfig
from evenface_training.synthetic.render import VERSION
from evenface_training.synthetic.streams import draw_each


class DrawnSource:
    """Faces, then non-faces, with all that is known of them.

    The label of an image is in the column `label`, `1` for a face. The other columns are those of
    `render_faces` and `render_nonfaces`.

    Args:
        settings: How many, and which.
        size: Height and width in pixels that they are wanted in; they are drawn in the next size
            that can be.

    Raises:
        DataError: Neither faces nor non-faces are wanted.
    """

    path = Path("synthetic")

    def __init__(self, settings: SyntheticSettings, size: int) -> None:
        if settings.faces + settings.nonfaces == 0:
            raise DataError("synthetic: faces and nonfaces are both 0")
        drawn = min(max(-(-size // SIZE_STEP) * SIZE_STEP, MIN_SIZE), MAX_SIZE)
        known = settings.model_dump(exclude={"kind", "faces", "nonfaces"})
        self._config = SyntheticConfig(**known, size=drawn)
        self._counts = {"face": settings.faces, "nonface": settings.nonfaces}

    def fingerprint(self) -> str:
        """All settings, and the version of what is drawn."""
        known = f"synthetic {VERSION} {self._counts} {self._config.model_dump_json()}"
        return hashlib.sha256(known.encode()).hexdigest()

    def count(self) -> int:
        """How many images there are."""
        return sum(self._counts.values())

    def items(self) -> Iterator[Item]:
        """Yield the images by index; a name is `face/` or `nonface/` and the index."""
        for name, image, labels in draw_each(self._config, self._counts):
            yield Item(name, image, labels)
