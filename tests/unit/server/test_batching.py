"""Which rows run, in which order, and what becomes of their calls."""

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from evenface_core.errors import DeadlineExpired, InvalidInput, QueueFull
from evenface_server.batching import Arrays, Lane, Prepare
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.lanes import Clock, Session, hold, make_lane, rows, start


@pytest.fixture
def session() -> Iterator[Session]:
    found = Session(Clock())
    yield found
    found.free.set()


@pytest.fixture
async def lane(session: Session) -> AsyncIterator[Lane]:
    found = make_lane(session)
    yield found
    found.stop()


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
    assert session.batches[1:] == [[1, 2, 3, 10], [11, 12, 13, 20], [14, 15]]
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


async def test_an_expired_request_never_reaches_the_session(lane: Lane, session: Session) -> None:
    blocker = await hold(lane, session)
    late, in_time = start(lane, 1, deadline=101.0), start(lane, 2, deadline=102.5)
    await asyncio.sleep(0)
    session.clock.now = 102.0
    session.free.set()
    with pytest.raises(DeadlineExpired):
        await late
    await asyncio.gather(blocker, in_time)
    assert session.batches == [[1000], [2]]


async def test_a_long_call_that_expires_between_its_batches_stops_there(
    lane: Lane, session: Session
) -> None:
    session.hold()
    call = start(lane, 1, 2, 3, 4, 5, 6, deadline=101.0)
    await session.next_run()
    session.clock.now = 101.0
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
    lane: Lane, session: Session
) -> None:
    def slow_run(inputs: Arrays) -> Arrays:
        session.clock.now += 2.0 * len(inputs[0])
        return session.run(inputs)

    lane._run = slow_run  # noqa: SLF001 - a session of known speed
    await start(lane, 1, 2)
    blocker = await hold(lane, session)
    waiting = start(lane, *range(11))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="12 rows are queued; limit 12") as caught:
        lane.admit(3)
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


async def test_batched_results_equal_single_ones(session: Session) -> None:
    lane = make_lane(session, max_batch_rows=64, max_queue_rows=64)
    rng = np.random.default_rng(0)
    inputs: list[NDArray[Any]] = [
        rng.random((int(count), 3), np.float32) for count in rng.integers(1, 4, 6)
    ]
    found = await asyncio.gather(
        *(lane.run((values,), lane.admit(len(values))) for values in inputs)
    )
    lane.stop()
    assert len(session.batches) == 1
    for values, (doubled, more) in zip(inputs, found, strict=True):
        np.testing.assert_array_equal(doubled, values * 2)
        np.testing.assert_array_equal(more, values + 1)


async def test_a_call_that_was_cancelled_while_it_waits_lets_go_of_its_images(
    lane: Lane, session: Session
) -> None:
    blocker = await hold(lane, session)
    inputs = rows(1)
    images = weakref.ref(inputs[0])
    victim = asyncio.create_task(lane.run(inputs, lane.admit(1)))
    del inputs
    await asyncio.sleep(0)
    assert images() is not None
    victim.cancel()
    await asyncio.wait([victim])
    del victim
    assert images() is None
    session.free.set()
    await blocker


async def test_inputs_are_made_when_their_batch_runs_and_where(lane: Lane) -> None:
    session = Session(Clock(), 1e-6)
    lane = make_lane(session)
    made: list[int] = []

    def make_in(seconds: float) -> Prepare:
        def make() -> Arrays:
            session.clock.now += seconds
            made.append(threading.get_ident())
            return rows(5, 6)

        return make

    await start(lane, 1)
    await start(lane, 2)
    for seconds in (0.001, 0.001, 0.1, 0.1, 0.1):
        call = asyncio.create_task(lane.run(make_in(seconds), lane.admit(2)))
        await asyncio.sleep(0)
        count = len(made)
        doubled, _ = await call
        assert doubled[:, 0].tolist() == [10, 12]
        assert len(made) == count + 1
    lane.stop()
    here = threading.get_ident()
    assert made == session.threads[2:]
    # Of the first nothing is known yet; and one that takes long is a pause until there is another.
    assert [thread == here for thread in made] == [False, True, True, True, False]


async def test_inputs_of_a_call_that_is_split_are_made_once(lane: Lane, session: Session) -> None:
    made: list[int] = []

    def make() -> Arrays:
        made.append(1)
        return rows(*range(10))

    doubled, _ = await lane.run(make, lane.admit(10))
    assert doubled[:, 0].tolist() == list(range(0, 20, 2))
    assert session.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert made == [1]


async def test_inputs_that_cannot_be_made_fail_their_call_alone(
    lane: Lane, session: Session
) -> None:
    def fail() -> Arrays:
        raise InvalidInput("images", "damaged")

    blocker = await hold(lane, session)
    calls: list[Prepare | Arrays] = [rows(1), fail, lambda: rows(2)]
    running = [asyncio.create_task(lane.run(inputs, lane.admit(1))) for inputs in calls]
    await asyncio.sleep(0)
    session.free.set()
    first, bad, last = await asyncio.gather(*running, return_exceptions=True)
    await blocker
    assert isinstance(bad, InvalidInput)
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    assert session.batches[-1] == [1, 2]
    assert (await start(lane, 3))[0].tolist() == [[6]]


async def test_inputs_of_a_cancelled_call_are_never_made(lane: Lane, session: Session) -> None:
    made: list[int] = []
    blocker = await hold(lane, session)

    def make() -> Arrays:
        made.append(1)
        return rows(1)

    victim = asyncio.create_task(lane.run(make, lane.admit(1)))
    await asyncio.sleep(0)
    victim.cancel()
    session.free.set()
    await blocker
    assert not made


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["ready", "made", "bad", "cancelled"])),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
    st.sampled_from([0.0, 1e-4]),
)
@settings(max_examples=60, deadline=None)
def test_every_row_runs_once_in_order_unless_its_call_is_dropped(
    calls: list[tuple[int, str]], max_batch_rows: int, seconds: float
) -> None:
    asyncio.run(check_calls(calls, max_batch_rows, seconds))


async def check_calls(calls: list[tuple[int, str]], max_batch_rows: int, seconds: float) -> None:
    session = Session(Clock(), seconds)
    lane = make_lane(session, max_batch_rows=max_batch_rows, max_queue_rows=1000)
    await start(lane, 1)  # so that short batches run on the loop
    expected: list[list[float]] = []
    tasks: list[asyncio.Task[Arrays]] = []
    for number, (count, kind) in enumerate(calls):
        values = [float(100 * (number + 1) + row) for row in range(count)]
        expected.append(values)
        tasks.append(asyncio.create_task(one_call(lane, values, kind)))
    await asyncio.sleep(0)
    for task, (_, kind) in zip(tasks, calls, strict=True):
        if kind == "cancelled":
            task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    lane.stop()
    assert lane.rows == 0
    ran = [value for batch in session.batches[1:] for value in batch]
    assert all(len(batch) <= max_batch_rows for batch in session.batches)
    wanted = []
    for values, (_, kind), outcome in zip(expected, calls, outcomes, strict=True):
        if kind == "bad":
            assert isinstance(outcome, InvalidInput)
        elif kind == "cancelled":
            assert isinstance(outcome, asyncio.CancelledError)
        else:
            assert isinstance(outcome, tuple)
            assert outcome[0][:, 0].tolist() == [2 * value for value in values]
            wanted += values
    assert sorted(ran) == sorted(wanted)
    assert ran == in_turns([v for v in expected if v[0] in wanted], max_batch_rows)


async def one_call(lane: Lane, values: list[float], kind: str) -> Arrays:
    def make() -> Arrays:
        if kind == "bad":
            raise InvalidInput("images", "damaged")
        return rows(*values)

    with lane.admit(len(values)) as place:
        inputs = make if kind in ("made", "bad") else rows(*values)
        return await lane.run(inputs, place)


def in_turns(waiting: list[list[float]], turn: int) -> list[float]:
    """The order in which rows run: a turn of each call, the rest at the queue's end."""
    queue, order = list(waiting), []
    while queue:
        first = queue.pop(0)
        order += first[:turn]
        if first[turn:]:
            queue.append(first[turn:])
    return order
