"""How many items go into one request. Knows nothing of gRPC and sends nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evenface_client._inputs import Images, Item, Place, coerce, each_source
from evenface_client.errors import InvalidRequest

# Bytes of framing around one item in a message, and of everything else that always is in it.
ITEM_OVERHEAD = 16
MESSAGE_OVERHEAD = 768


@dataclass(frozen=True)
class Budget:
    """What one request may hold.

    Attributes:
        items: Number of items, ≥ 1.
        payload: Bytes of items, framing included.
    """

    items: int
    payload: int


@dataclass(frozen=True)
class Chunk:
    """Items of one request: neighbours, all files or all pixels of one shape.

    Attributes:
        start: Number of the first among all items.
        items: The items.
    """

    start: int
    items: tuple[Item, ...]

    @property
    def place(self) -> Place:
        """Where the items come from, for errors."""
        return Place(self.start, tuple(item.source for item in self.items))

    @property
    def payload(self) -> int:
        """Bytes of the items, framing included."""
        return sum(map(cost, self.items))

    def fits(self, budget: Budget) -> bool:
        """Whether a request may hold it."""
        return len(self.items) <= budget.items and self.payload <= budget.payload

    def singly(self) -> list["Chunk"]:
        """The same items, one a chunk."""
        return [Chunk(self.start + at, (item,)) for at, item in enumerate(self.items)]


def cost(item: Item) -> int:
    """Bytes that an item takes in a message."""
    return len(item.data) + ITEM_OVERHEAD


class Chunker:
    """Gathers items into chunks, in order; an item that does not fit begins the next chunk.

    Args:
        budget: What one chunk may hold.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._start = 0
        self._items: list[Item] = []
        self._payload = 0

    def add(self, index: int, item: Item) -> Chunk | None:
        """Add item number `index`; returns a chunk where the item ends one.

        Raises:
            InvalidRequest: The item is larger than a message may be.
        """
        if cost(item) > self._budget.payload:
            problem = f"{len(item.data)} bytes; limit {self._budget.payload - ITEM_OVERHEAD}"
            raise InvalidRequest("images", problem, index=index, source=item.source)
        full = None if self._fits(index, item) else self.flush()
        if not self._items:
            self._start = index
        self._items.append(item)
        self._payload += cost(item)
        return full

    def flush(self) -> Chunk | None:
        """The items gathered since the last chunk, if any."""
        if not self._items:
            return None
        chunk = Chunk(self._start, tuple(self._items))
        self._items, self._payload = [], 0
        return chunk

    def _fits(self, index: int, item: Item) -> bool:
        return not self._items or (
            index == self._start + len(self._items)
            and item.shape == self._items[0].shape
            and len(self._items) < self._budget.items
            and self._payload + cost(item) <= self._budget.payload
        )


def chunked(images: Images, budget: Budget) -> Iterator[Chunk]:
    """Cut images into chunks, reading files only as chunks are asked for.

    Raises:
        InvalidRequest: An image cannot be used.
    """
    chunker = Chunker(budget)
    for index, item in enumerate(_items(images)):
        chunk = chunker.add(index, item)
        if chunk is not None:
            yield chunk
    last = chunker.flush()
    if last is not None:
        yield last


def _items(images: Images) -> Iterator[Item]:
    index = 0
    for source in each_source(images):
        items = coerce(source, index)
        index += len(items)
        yield from items


def spans(count: int, size: int) -> Iterable[range]:
    """Cut 0 … count - 1 into ranges of at most `size`."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
