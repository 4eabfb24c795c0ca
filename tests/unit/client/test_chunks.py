"""Chunk planning: what goes into one request."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from evenface_client import InvalidRequest
from evenface_client._chunks import ITEM_OVERHEAD, Budget, Chunk, Chunker, chunked, cost, spans
from evenface_client._inputs import Item
from hypothesis import given
from hypothesis import strategies as st

ITEMS = st.lists(
    st.builds(
        Item,
        data=st.binary(min_size=1, max_size=60),
        shape=st.sampled_from([None, (2, 2, 3), (3, 2, 1)]),
    ),
    max_size=40,
)
BUDGETS = st.builds(Budget, items=st.integers(1, 7), payload=st.integers(60 + ITEM_OVERHEAD, 300))


def gather(items: list[Item], budget: Budget) -> list[Chunk]:
    chunker = Chunker(budget)
    added = [chunker.add(index, item) for index, item in enumerate(items)]
    return [chunk for chunk in (*added, chunker.flush()) if chunk is not None]


@given(ITEMS, BUDGETS)
def test_chunks_hold_every_item_once_and_in_order(items: list[Item], budget: Budget) -> None:
    chunks = gather(items, budget)
    assert [item for chunk in chunks for item in chunk.items] == items
    starts = np.cumsum([0, *(len(chunk.items) for chunk in chunks)])
    assert [chunk.start for chunk in chunks] == starts[:-1].tolist()


@given(ITEMS, BUDGETS)
def test_no_chunk_breaks_a_limit_or_mixes_shapes(items: list[Item], budget: Budget) -> None:
    for chunk in gather(items, budget):
        assert 1 <= len(chunk.items) <= budget.items
        assert chunk.payload <= budget.payload
        assert len({item.shape for item in chunk.items}) == 1


@given(ITEMS, BUDGETS)
def test_a_chunk_ends_only_where_the_next_item_does_not_fit(
    items: list[Item], budget: Budget
) -> None:
    chunks = gather(items, budget)
    for chunk, following in itertools.pairwise(chunks):
        first = following.items[0]
        assert (
            len(chunk.items) == budget.items
            or chunk.payload + cost(first) > budget.payload
            or first.shape != chunk.items[0].shape
        )


def test_an_item_larger_than_a_message_is_refused_with_its_number_size_and_limit() -> None:
    with pytest.raises(InvalidRequest, match=r"images\[1\]: 101 bytes; limit 100") as caught:
        list(chunked([b"x" * 100, b"x" * 101], Budget(10, 100 + ITEM_OVERHEAD)))
    assert caught.value.index == 1


def test_a_gap_in_the_numbers_ends_a_chunk() -> None:
    chunker = Chunker(Budget(10, 1000))
    assert chunker.add(0, Item(b"a")) is None
    assert chunker.add(2, Item(b"b")) == Chunk(0, (Item(b"a"),))
    assert chunker.flush() == Chunk(2, (Item(b"b"),))


def test_images_are_read_only_as_chunks_are_asked_for() -> None:
    read: list[int] = []

    def images() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield bytes([number])

    chunks = chunked(images(), Budget(4, 1000))
    next(chunks)
    assert len(read) == 5


def test_a_batch_array_counts_as_its_images() -> None:
    batch = np.zeros((5, 2, 2, 3), np.uint8)
    chunks = list(chunked([batch, batch[0]], Budget(4, 1000)))
    assert [(chunk.start, len(chunk.items)) for chunk in chunks] == [(0, 4), (4, 2)]


@given(st.integers(0, 50), st.integers(1, 9))
def test_spans_cover_a_count_without_overlap(count: int, size: int) -> None:
    ranges = list(spans(count, size))
    assert [number for span in ranges for number in span] == list(range(count))
    assert all(1 <= len(span) <= size for span in ranges)


def test_a_chunk_taken_apart_keeps_the_numbers_and_files() -> None:
    chunk = Chunk(7, (Item(b"a", None, "a.png"), Item(b"b", None, "b.png")))
    assert [(c.start, c.place.source(0)) for c in chunk.singly()] == [(7, "a.png"), (8, "b.png")]
