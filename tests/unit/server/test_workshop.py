"""The pool of threads for single images: order, errors, cancellation, turns."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest
import pytest_asyncio
from evenface_core.errors import DeadlineExpired
from evenface_server.workshop import Workshop
from support.lanes import Clock
from support.patience import PATIENCE

SLOW = 0.006  # longer than a turn


@pytest_asyncio.fixture
async def one_thread() -> AsyncIterator[Workshop]:
    workshop = Workshop(1)
    yield workshop
    workshop.stop()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
async def test_results_are_in_the_order_of_the_items(threads: int, count: int) -> None:
    workshop = Workshop(threads)
    found = await workshop.each(lambda index, item: (index, item + 1), range(count), work=count)
    workshop.stop()
    assert found == [(number, number + 1) for number in range(count)]


async def test_a_call_of_many_items_does_not_hold_up_a_small_one(one_thread: Workshop) -> None:
    done: list[str] = []

    def slow(_: int, name: str) -> None:
        time.sleep(SLOW)
        done.append(name)

    large = asyncio.create_task(one_thread.each(slow, ["large"] * 50, work=50))
    await asyncio.sleep(3 * SLOW)
    await one_thread.each(slow, ["small"], work=1)
    assert done.index("small") < 10
    await large
    assert len(done) == 51


async def test_an_error_ends_the_call_and_drops_what_has_not_begun(one_thread: Workshop) -> None:
    seen: list[int] = []

    def third_fails(index: int, _: int) -> None:
        seen.append(index)
        if index == 2:
            raise ValueError("the third")

    with pytest.raises(ValueError, match="the third"):
        await one_thread.each(third_fails, range(100), work=100)
    await one_thread.run(int)
    assert seen == [0, 1, 2]


async def test_after_an_error_other_threads_begin_nothing_more() -> None:
    workshop, go_on = Workshop(2), threading.Event()
    seen: list[int] = []

    def second_fails(index: int, _: int) -> None:
        seen.append(index)
        if index == 1:
            raise ValueError("the second")
        assert go_on.wait(PATIENCE)

    with pytest.raises(ValueError, match="the second"):
        await workshop.each(second_fails, range(100), work=100)
    go_on.set()
    await asyncio.gather(*[workshop.run(int) for _ in range(2)])
    workshop.stop()
    assert sorted(seen) == [0, 1]


async def test_items_of_a_cancelled_call_are_dropped(one_thread: Workshop) -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    def wait(index: int, _: int) -> None:
        seen.append(index)
        begun.set()
        go_on.wait()

    call = asyncio.create_task(one_thread.each(wait, range(100), work=100))
    await asyncio.to_thread(begun.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    assert await one_thread.each(lambda index, _: index, [None], work=1) == [0]
    assert seen == [0]


async def test_the_event_loop_is_told_once_not_for_every_item(
    one_thread: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    told = Mock(wraps=loop.call_soon_threadsafe)
    monkeypatch.setattr(loop, "call_soon_threadsafe", told)
    await one_thread.each(lambda index, _: index, range(1000), work=1)
    assert told.call_count == 1


async def test_failures_of_a_cancelled_call_go_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    workshop, both, go_on = Workshop(2), threading.Barrier(3), threading.Event()

    def fail(_: int, __: int) -> None:
        both.wait()
        go_on.wait()
        raise ValueError

    call = asyncio.create_task(workshop.each(fail, range(2), work=2))
    await asyncio.to_thread(both.wait)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    go_on.set()
    assert await workshop.each(lambda index, _: index, range(10), work=10) == list(range(10))
    workshop.stop()
    assert not caplog.records


class Timed:
    """Work that takes a time for each item, on a clock, and may be held."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def __call__(self, _: int, __: object) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        self.clock.now += self.seconds


async def test_an_idle_workshop_promises_nothing() -> None:
    clock = Clock()
    work = Timed(clock, 1.0)
    workshop = Workshop(1, clock)
    work.go_on.release()
    await workshop.each(work, [0], work=10)
    assert workshop.seconds_for(1000) == 0
    workshop.stop()


async def test_work_waits_for_as_much_of_others_as_it_is_itself() -> None:
    clock = Clock()
    work = Timed(clock, 1.0)
    workshop = Workshop(2, clock)
    work.go_on.release()
    await workshop.each(work, [0], work=100)
    work.begun.acquire()
    jobs = [
        asyncio.create_task(workshop.each(work, range(count), work=100 * count)) for count in (9, 1)
    ]
    await asyncio.to_thread(work.begun.acquire, timeout=10)
    await asyncio.to_thread(work.begun.acquire, timeout=10)
    # 10 ms a pixel and two threads; both have begun an item of 100 pixels of the first job.
    assert workshop.seconds_for(50) == pytest.approx((50 + 50 + 50) * 0.01 / 2)
    assert workshop.seconds_for(200) == pytest.approx((200 + 100 + 200) * 0.01 / 2)
    assert workshop.seconds_for(10_000) == pytest.approx((700 + 100 + 10_000) * 0.01 / 2)
    work.go_on.release(10)
    await asyncio.gather(*jobs)
    assert workshop.seconds_for(200) == 0
    workshop.stop()


async def test_items_are_begun_until_the_deadline() -> None:
    clock = Clock()
    work = Timed(clock, 1.0)
    workshop = Workshop(1, clock)
    work.go_on.release(100)
    with pytest.raises(DeadlineExpired):
        await workshop.each(work, range(100), work=100, deadline=clock.now + 2.5)
    assert work.begun.acquire(timeout=10)
    assert [work.begun.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    workshop.stop()
