"""Lanes with sessions that can be held, made to fail and looked into."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from evenface_core.errors import DeadlineExpired, QueueFull
from evenface_server.batching import Arrays, Lane
from evenface_server.metrics import Metrics
from numpy.typing import NDArray


class Session:
    """Doubles its input; can be held, and fails on values below zero."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Semaphore(0)

    def run(self, inputs: Arrays) -> Arrays:
        (values,) = inputs
        self.batches.append(values[:, 0].tolist())
        self.entered.release()
        assert self.free.wait(10)
        if (values < 0).any():
            raise RuntimeError("the session failed")
        return (values * 2, values + 1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def session() -> Iterator[Session]:
    found = Session()
    yield found
    found.free.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def lane(session: Session, clock: Clock) -> AsyncIterator[Lane]:
    found = make_lane(session, clock)
    yield found
    found.stop()


def make_lane(session: Session, clock: Clock, *, max_batch_rows: int = 4) -> Lane:
    return Lane(
        session.run,
        max_batch_rows=max_batch_rows,
        max_queue_rows=12,
        label="test",
        metrics=Metrics().lane("m", "1", "encode"),
        clock=clock,
    )


def rows(*values: float) -> Arrays:
    return (np.array(values, np.float32)[:, None],)


def start(lane: Lane, *values: float, deadline: float | None = None) -> asyncio.Task[Arrays]:
    async def call() -> Arrays:
        with lane.admit(len(values)):
            return await lane.run(rows(*values), deadline)

    return asyncio.create_task(call())


async def hold(lane: Lane, session: Session) -> asyncio.Task[Arrays]:
    """Start a call and hold its run, so that what follows has to wait."""
    session.free.clear()
    blocker = start(lane, 1000)
    await asyncio.to_thread(session.entered.acquire, timeout=10)
    return blocker


async def test_a_free_session_runs_a_call_at_once(lane: Lane, session: Session) -> None:
    doubled, more = await start(lane, 1, 2)
    assert doubled[:, 0].tolist() == [2, 4]
    assert more[:, 0].tolist() == [2, 3]
    assert session.batches == [[1, 2]]


async def test_what_gathers_while_the_session_is_busy_runs_together(
    lane: Lane, session: Session
) -> None:
    blocker = await hold(lane, session)
    calls = [start(lane, 1), start(lane, 2, 3), start(lane, 4)]
    await asyncio.sleep(0)
    session.free.set()
    found = [(await call)[0][:, 0].tolist() for call in calls]
    await blocker
    assert session.batches == [[1000], [1, 2, 3, 4]]
    assert found == [[2], [4, 6], [8]]


async def test_calls_are_served_first_come_first_served_and_split_in_turns(
    lane: Lane, session: Session
) -> None:
    blocker = await hold(lane, session)
    calls = [start(lane, 1, 2, 3), start(lane, *range(10, 16)), start(lane, 20)]
    await asyncio.sleep(0)
    session.free.set()
    found = [(await call)[0][:, 0].tolist() for call in calls]
    await blocker
    assert session.batches[1:] == [[1, 2, 3, 10], [20, 11, 12, 13], [14, 15]]
    assert found[1] == [20, 22, 24, 26, 28, 30]


async def test_a_cancelled_request_never_reaches_the_session(lane: Lane, session: Session) -> None:
    blocker = await hold(lane, session)
    victim, other = start(lane, 1, 2, 3), start(lane, 4)
    await asyncio.sleep(0)
    victim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await victim
    session.free.set()
    await asyncio.gather(blocker, other)
    assert session.batches == [[1000], [4]]


async def test_an_expired_request_never_reaches_the_session(
    lane: Lane, session: Session, clock: Clock
) -> None:
    blocker = await hold(lane, session)
    late, in_time = start(lane, 1, deadline=101.0), start(lane, 2, deadline=102.5)
    await asyncio.sleep(0)
    clock.now = 102.0
    session.free.set()
    with pytest.raises(DeadlineExpired):
        await late
    await asyncio.gather(blocker, in_time)
    assert session.batches == [[1000], [2]]


async def test_a_long_call_that_expires_between_its_batches_stops_there(
    lane: Lane, session: Session, clock: Clock
) -> None:
    session.free.clear()
    call = start(lane, 1, 2, 3, 4, 5, 6, deadline=101.0)
    await asyncio.to_thread(session.entered.acquire, timeout=10)
    clock.now = 101.0
    session.free.set()
    with pytest.raises(DeadlineExpired):
        await call
    assert session.batches == [[1, 2, 3, 4]]


async def test_a_failing_session_fails_its_batch_alone(lane: Lane, session: Session) -> None:
    blocker = await hold(lane, session)
    bad, mate, later = start(lane, -1, 1), start(lane, 2, 3), start(lane, 4)
    await asyncio.sleep(0)
    session.free.set()
    outcomes = await asyncio.gather(bad, mate, later, return_exceptions=True)
    await blocker
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError, tuple]


async def test_a_full_queue_refuses_and_says_when_to_come_back(
    lane: Lane, session: Session, clock: Clock
) -> None:
    def slow_run(inputs: Arrays) -> Arrays:
        clock.now += 2.0 * len(inputs[0])
        return session.run(inputs)

    lane._run = slow_run  # noqa: SLF001 - a session of known speed
    await start(lane, 1, 2)
    blocker = await hold(lane, session)
    waiting = start(lane, *range(11))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="12 rows are queued; limit 12") as caught:
        lane.admit(3).__enter__()
    assert caught.value.retry_after == pytest.approx(6.0)
    assert lane.rows == 12
    session.free.set()
    await asyncio.gather(blocker, waiting)
    assert lane.rows == 0


async def test_a_cancelled_request_gives_its_room_back_at_once(
    lane: Lane, session: Session
) -> None:
    blocker = await hold(lane, session)
    victim = start(lane, *range(11))
    await asyncio.sleep(0)
    assert lane.rows == 12
    victim.cancel()
    await asyncio.wait([victim])
    assert lane.rows == 1
    session.free.set()
    await blocker


async def test_batched_results_equal_single_ones(session: Session, clock: Clock) -> None:
    lane = make_lane(session, clock, max_batch_rows=64)
    rng = np.random.default_rng(0)
    inputs: list[NDArray[Any]] = [
        rng.random((int(count), 3), np.float32) for count in rng.integers(1, 4, 6)
    ]
    found = await asyncio.gather(*(lane.run((values,), None) for values in inputs))
    lane.stop()
    assert len(session.batches) == 1
    for values, (doubled, more) in zip(inputs, found, strict=True):
        np.testing.assert_array_equal(doubled, values * 2)
        np.testing.assert_array_equal(more, values + 1)
