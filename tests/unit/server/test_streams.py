"""Bulk streams without a transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from evenface_server.streams import Streams


async def numbers(count: int, read: list[int] | None = None) -> AsyncIterator[int]:
    for number in range(count):
        if read is not None:
            read.append(number)
        yield number


async def test_replies_come_in_order_though_work_ends_in_any() -> None:
    gates = [asyncio.Event() for _ in range(4)]

    async def answer(number: int) -> int:
        if number + 1 < len(gates):
            await gates[number + 1].wait()  # each waits for the next one
        gates[number].set()
        return number * 10

    found = [reply async for reply in Streams(4).answer(numbers(4), answer)]
    assert found == [0, 10, 20, 30]


async def test_no_more_is_read_than_room_allows() -> None:
    read: list[int] = []

    async def answer(number: int) -> int:
        return number

    async with aclosing(Streams(3).answer(numbers(100, read), answer)) as replies:
        await anext(replies)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 3
        await anext(replies)  # taking a reply makes room for one request
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 4


async def test_closing_answers_what_was_read_and_reads_no_further() -> None:
    streams = Streams(8)
    endless = asyncio.Event()

    async def requests() -> AsyncIterator[int]:
        yield 1
        yield 2
        await endless.wait()

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    found = []
    async for reply in streams.answer(requests(), answer):
        found.append(reply)
        if reply == 1:
            streams.close()
    assert found == [1, 2]
    assert [reply async for reply in streams.answer(numbers(3), answer)] == []


async def test_work_is_cancelled_when_the_reader_goes_away() -> None:
    cancelled = asyncio.Event()

    async def answer(number: int) -> int:
        if number == 0:
            return number
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return number

    async with aclosing(Streams(4).answer(numbers(2), answer)) as replies:
        assert await anext(replies) == 0
        await asyncio.sleep(0)
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_an_error_of_the_requests_comes_after_the_replies() -> None:
    async def requests() -> AsyncIterator[int]:
        yield 1
        raise ValueError("cut off")

    async def answer(number: int) -> int:
        return number

    replies = Streams(4).answer(requests(), answer)
    assert await anext(replies) == 1
    with pytest.raises(ValueError, match="cut off"):
        await anext(replies)
