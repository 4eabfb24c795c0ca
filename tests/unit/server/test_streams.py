"""Bulk streams without a transport."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from contextvars import Context, ContextVar

import pytest
from evenface_server.streams import SMALL, WHOLE, Streams, each


async def numbers(count: int, read: list[int] | None = None) -> AsyncIterator[int]:
    for number in range(count):
        if read is not None:
            read.append(number)
        yield number


def whole(request: int) -> int:
    del request
    return WHOLE


async def test_replies_come_in_order_though_work_ends_in_any() -> None:
    gates = [asyncio.Event() for _ in range(4)]

    async def answer(number: int) -> int:
        if number + 1 < len(gates):
            await gates[number + 1].wait()  # each waits for the next one
        gates[number].set()
        return number * 10

    found = [reply async for reply in Streams(4).answer(numbers(4), each(answer), whole)]
    assert found == [0, 10, 20, 30]


async def test_no_more_is_read_than_room_allows() -> None:
    read: list[int] = []

    async def answer(number: int) -> int:
        return number

    async with aclosing(Streams(3).answer(numbers(100, read), each(answer), whole)) as replies:
        await anext(replies)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 3
        await anext(replies)  # taking a reply makes room for one request
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 4


async def test_of_small_requests_four_times_as_many_are_read() -> None:
    read: list[int] = []

    async def answer(number: int) -> int:
        return number

    def weigh(number: int) -> int:
        return WHOLE if number % 8 == 7 else SMALL

    answers = Streams(3).answer(numbers(100, read), each(answer), weigh)
    async with aclosing(answers) as replies:
        await anext(replies)
        for _ in range(20):
            await asyncio.sleep(0)
        # The eighth counts as four: 7 + 4 are fewer than 12, with one more there are as many.
        assert len(read) == 9
        for _ in range(8):
            await anext(replies)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 8 + 1 + 8


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
    async for reply in streams.answer(requests(), each(answer), whole):
        found.append(reply)
        if reply == 1:
            streams.close()
    assert found == [1, 2]
    assert [reply async for reply in streams.answer(numbers(3), each(answer), whole)] == []


async def test_closing_begins_what_was_read_at_once() -> None:
    streams, begun = Streams(8), asyncio.Event()

    async def requests() -> AsyncIterator[int]:
        yield 1
        streams.close()  # before what was read can have been begun
        assert begun.is_set()
        await asyncio.Event().wait()

    async def answer(number: int) -> int:
        return number

    def begin(numbers: Sequence[int]) -> Iterator[Awaitable[Sequence[int]]]:
        begun.set()
        yield from each(answer)(numbers)

    assert [reply async for reply in streams.answer(requests(), begin, whole)] == [1]


async def test_what_closing_begins_belongs_to_the_call() -> None:
    streams, caller = Streams(8), ContextVar("caller", default="nobody")

    async def requests() -> AsyncIterator[int]:
        yield 1
        Context().run(streams.close)  # as whoever drains the server does
        await asyncio.Event().wait()

    async def answer(number: int) -> tuple[int, str]:
        return number, caller.get()

    caller.set("one")
    replies = streams.answer(requests(), each(answer), whole)
    assert [reply async for reply in replies] == [(1, "one")]


async def test_closing_before_reading_has_begun_ends_a_stream() -> None:
    streams = Streams(8)

    async def answer(number: int) -> int:
        return number

    replies = streams.answer(numbers(3), each(answer), whole)
    taking = asyncio.ensure_future(anext(replies, None))
    asyncio.get_running_loop().call_soon(streams.close)  # between the two first steps
    assert await asyncio.wait_for(taking, 5) is None


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

    async with aclosing(Streams(4).answer(numbers(2), each(answer), whole)) as replies:
        assert await anext(replies) == 0
        await asyncio.sleep(0)
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_an_error_of_the_requests_comes_after_the_replies() -> None:
    async def requests() -> AsyncIterator[int]:
        yield 1
        raise ValueError("cut off")

    async def answer(number: int) -> int:
        return number

    replies = Streams(4).answer(requests(), each(answer), whole)
    assert await anext(replies) == 1
    with pytest.raises(ValueError, match="cut off"):
        await anext(replies)


async def test_work_on_what_was_read_without_waiting_begins_together() -> None:
    more = asyncio.Event()
    begun: list[list[int]] = []

    async def requests() -> AsyncIterator[int]:
        for number in range(3):
            yield number
        await more.wait()
        yield 3

    async def some(numbers: Sequence[int]) -> Sequence[int]:
        return numbers

    def begin(numbers: Sequence[int]) -> Iterator[Awaitable[Sequence[int]]]:
        begun.append(list(numbers))
        yield some(numbers[:2])
        yield some(numbers[2:])

    found = []
    async for reply in Streams(8).answer(requests(), begin, whole):
        found.append(reply)
        if len(found) == 3:
            more.set()
    assert begun == [[0, 1, 2], [3]]
    assert found == [0, 1, 2, 3]


async def test_an_error_of_beginning_comes_after_the_replies_to_what_was_begun() -> None:
    async def some(numbers: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        return numbers

    def begin(numbers: Sequence[int]) -> Iterator[Awaitable[Sequence[int]]]:
        yield some(numbers[:1])
        raise ValueError("cannot begin")

    replies = Streams(4).answer(numbers(2), begin, whole)
    assert await anext(replies) == 0
    with pytest.raises(ValueError, match="cannot begin"):
        await anext(replies)


async def test_nothing_is_begun_for_a_reader_that_has_gone() -> None:
    begun: list[int] = []
    going, more = asyncio.Event(), asyncio.Event()

    async def requests() -> AsyncIterator[int]:
        yield 0
        await more.wait()
        going.set()  # who waits for that wakes up before what is read now can be begun
        yield 1
        await asyncio.Event().wait()

    async def go() -> None:
        await going.wait()
        await replies.aclose()

    async def answer(number: int) -> int:
        begun.append(number)
        return number

    replies = Streams(4).answer(requests(), each(answer), whole)
    assert await anext(replies) == 0
    leaving = asyncio.create_task(go())
    await asyncio.sleep(0)
    more.set()
    await leaving
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == [0]
