"""What is to be scored: items, and the chunks of them that travel between processes.

A chunk says where its items lie; their bytes are read where it is scored, never by the driver.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Item:
    """One image file, or why there is none.

    Attributes:
        id: What its row is called in the output.
        data: The encoded image; None where it could not be read.
        error: Why not, in one line, beginning with its kind: `missing: …`, `unreadable: …`.
    """

    id: str
    data: bytes | None = field(repr=False)
    error: str | None = None


class Places(Protocol):
    """Where the items of a chunk lie. Small, and picklable.

    What cannot be read is an item with an error: none of these raises for it.
    """

    @property
    def count(self) -> int | None:
        """How many items there should be; None where that shows only as they are read."""

    def items(self) -> Iterator[Item]:
        """Read the items, in an order that never changes, few of them in memory at once."""

    def ids(self) -> Iterator[str]:
        """Name the items without reading more than that takes."""

    def pick(self, rows: frozenset[int]) -> Iterator[tuple[int, Item]]:
        """Read the items at some places in the order of `items`, and give their places."""

    def to_line(self) -> dict[str, Any]:
        """What `inputs.places_of` makes the same places from; plain values with a `kind`."""


@dataclass(frozen=True)
class Chunk:
    """A bounded piece of the work, which becomes one part file.

    Attributes:
        index: Its number, from 0; the part's name follows from it.
        places: Where its items lie.
    """

    index: int
    places: Places
