"""When and where batches run, and what is predicted and counted of them."""

import asyncio
import socket
import threading

import pytest
import uvloop
from evenface_core.errors import QueueFull
from evenface_server.batching import Arrays, Lane
from evenface_server.metrics import Metrics
from support.lanes import Clock, Session, hold, make_lane, rows, start


def where(session: Session) -> list[tuple[int, bool]]:
    """Of each batch, its rows and whether it ran on the loop."""
    here = threading.get_ident()
    return [
        (len(batch), thread == here)
        for batch, thread in zip(session.batches, session.threads, strict=True)
    ]


async def test_batches_are_cut_short_to_run_on_the_loop_once_their_time_is_known() -> None:
    session = Session(Clock(), 0.002)
    lane = make_lane(session)
    for count in (4, 1, 4):
        await start(lane, *range(count))
    assert where(session) == [(4, False), (1, True), (2, True), (2, True)]
    for _ in range(100):
        await start(lane, *range(4))
    lane.stop()
    uncut = [batch for batch in where(session) if batch == (4, False)]
    assert 2 < len(uncut) < 20  # to learn what it costs


async def test_batches_of_one_size_are_cut_too() -> None:
    session = Session(Clock(), 0.002)
    lane = make_lane(session)
    for _ in range(100):
        await start(lane, *range(4))
    lane.stop()
    assert where(session).count((4, False)) < 20


async def test_cut_batches_of_one_size_do_not_stay_so_where_that_is_dear() -> None:
    session = Session(Clock(), 0.0, fixed=0.003)
    lane = make_lane(session)
    for _ in range(100):
        await start(lane, *range(4))
    lane.stop()
    assert len(session.batches) < 130


async def test_batches_are_cut_between_calls_where_they_can_be() -> None:
    session = Session(Clock(), 0.001)
    lane = make_lane(session, max_batch_rows=8)
    for count in (1, 2):
        await start(lane, *range(count))
    await asyncio.gather(start(lane, 1, 2, 3), start(lane, 4, 5, 6), start(lane, 7, 8))
    lane.stop()
    assert session.batches[2:] == [[1, 2, 3], [4, 5, 6, 7, 8]]


async def test_a_call_is_not_cut_for_a_few_rows_and_else_evenly() -> None:
    session = Session(Clock(), 0.001)
    lane = make_lane(session, max_batch_rows=16, max_queue_rows=32)
    for count in (1, 2, 7, 9, 11):
        await start(lane, *range(count))
    await asyncio.gather(start(lane, *range(7)), start(lane, 7))
    lane.stop()
    assert where(session)[2:] == [
        (7, True),
        *((5, True), (4, True)),
        *((6, True), (5, True)),
        *((7, True), (1, True)),
    ]


async def test_rows_that_take_long_run_in_the_thread_as_many_as_may() -> None:
    session = Session(Clock(), 0.006)
    lane = make_lane(session)
    for count in (1, 1, 4):
        await start(lane, *range(count))
    lane.stop()
    assert where(session) == [(1, False), (1, False), (4, False)]


async def test_runs_that_cost_much_whatever_their_rows_are_not_cut_short() -> None:
    session = Session(Clock(), 0.001, fixed=0.002)
    lane = make_lane(session)
    for count in (1, 4, 1, 4):
        await start(lane, *range(count))
    lane.stop()
    assert where(session)[-2:] == [(1, True), (4, False)]


async def test_a_lane_that_runs_nothing_on_the_loop_never_does() -> None:
    session = Session(Clock(), 1e-6)
    lane = make_lane(session, inline_seconds=0.0)
    for _ in range(3):
        await start(lane, 1)
    lane.stop()
    assert threading.get_ident() not in session.threads


def test_requests_that_come_during_a_run_meet_those_that_follow_its_replies() -> None:
    batches = uvloop.run(ask_over_sockets(times=4))
    assert [len(batch) for batch in batches] == [4, 8, 8, 8, 4]


async def ask_over_sockets(*, times: int) -> list[list[float]]:
    """Batches where two groups of four peers each ask anew as soon as they have been answered.

    The second group begins while the first batch runs.
    """
    session = Session(Clock(), 1e-6)
    lane = make_lane(session, max_batch_rows=64, max_queue_rows=64)
    await start(lane, 0)
    peers = [Peer(lane, times) for _ in range(8)]

    def run(inputs: Arrays) -> Arrays:
        for peer in peers[4:]:
            peer.begin()
        return session.run(inputs)

    lane._run = run  # noqa: SLF001 - as it looks from within a run
    for peer in peers[:4]:
        peer.begin()
    await asyncio.gather(*(peer.ended for peer in peers))
    for peer in peers:
        peer.close()
    lane.stop()
    return session.batches[1:]


class Peer:
    """Asks over a socket, and at once again when it has been answered."""

    def __init__(self, lane: Lane, times: int) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lane = lane
        self._left = times
        self._has_begun = False
        self._ours, self._theirs = socket.socketpair()
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._theirs.send(b"?")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self._theirs.close()

    def _read(self) -> None:
        self._ours.recv(1)
        self._tasks.add(asyncio.create_task(self._answer()))

    async def _answer(self) -> None:
        with self._lane.admit(1) as place:
            await self._lane.run(rows(1), place)
        self._left -= 1
        if self._left:
            self._theirs.send(b"?")
        else:
            self.ended.set_result(None)


async def test_a_call_that_cannot_be_answered_in_time_is_refused_at_once() -> None:
    session = Session(Clock(), 0.01)
    lane = make_lane(session)
    await asyncio.gather(start(lane, 1, 2, 3, 4), start(lane, 5, 6, 7, 8))
    session.hold()
    running, waiting = start(lane, *range(6)), start(lane, 1, 2)
    await session.next_run()
    with pytest.raises(QueueFull, match="take about 90 ms, and the deadline is in 95 ms") as caught:
        lane.admit(1, session.clock.now + 0.095)
    assert 0.005 < caught.value.retry_after < 0.02
    lane.admit(1, session.clock.now + 0.109).__exit__(None, None, None)
    session.free.set()
    await asyncio.gather(running, waiting)
    lane.admit(1, session.clock.now + 0.02).__exit__(None, None, None)
    lane.stop()


async def test_a_run_that_ended_early_keeps_nobody_waiting() -> None:
    session = Session(Clock(), 1.0)
    lane = make_lane(session)
    for _ in range(2):
        await start(lane, 1)
    session.seconds = 0.0
    with lane.admit(1):  # and still being prepared
        await start(lane, 2)
        lane.admit(1, session.clock.now + 1.5).__exit__(None, None, None)
    lane.stop()


async def test_doubts_about_a_long_batch_bring_it_nearer_to_its_caller_not_to_the_loop() -> None:
    session = Session(Clock(), 0.05)
    lane = make_lane(session)
    await start(lane, 1)
    while True:
        try:
            await start(lane, 1, deadline=session.clock.now + 0.004)
        except QueueFull:
            continue
        break
    lane.stop()
    assert len(session.threads) == 2
    assert threading.get_ident() not in session.threads


async def test_calls_that_run_together_share_what_a_batch_may_take() -> None:
    session = Session(Clock(), 0.002)
    lane = make_lane(session)
    for count in (4, 1):
        await start(lane, *range(count))
    await asyncio.gather(*(start(lane, number) for number in range(5)))
    lane.stop()
    assert where(session)[2:] == [(2, True), (2, True), (1, True)]


async def test_a_busy_loops_turns_are_left_room_for() -> None:
    session = Session(Clock(), 0.001)
    lane = make_lane(session, max_batch_rows=1)
    refusals: list[QueueFull] = []

    async def caller() -> None:
        for _ in range(4):
            await start(lane, 1)
            session.clock.now += 0.02  # packing the reply, say
            try:
                lane.admit(1, session.clock.now + 0.01).__exit__(None, None, None)
            except QueueFull as error:
                refusals.append(error)

    await asyncio.gather(*(caller() for _ in range(4)))
    lane.stop()
    stated = float(str(refusals[8]).split("take about ")[1].split(" ms")[0]) / 1000
    lacked = 1.2 * refusals[8].retry_after  # as a fifth of the wait is kept to spare
    # A turn is some 20 ms, of which there may be two.
    assert lacked > 1.1 * stated - 0.01 + 0.035


async def test_callers_learn_of_a_long_batch_before_a_short_one_runs() -> None:
    session = Session(Clock(), 0.003)
    lane = make_lane(session)
    await start(lane, 1)
    session.hold()
    blocker = asyncio.create_task(lane.run(lambda: rows(1), lane.admit(1)))
    await session.next_run()
    short = start(lane, 7)
    await asyncio.sleep(0)
    session.free.set()
    await blocker
    assert len(session.batches) == 2
    await short
    lane.stop()
    assert where(session)[1:] == [(1, False), (1, True)]


async def test_idle_time_is_no_part_of_what_a_batch_takes() -> None:
    session = Session(Clock(), 0.01)
    lane = make_lane(session)
    for _ in range(5):
        await start(lane, 1)
        session.clock.now += 1000.0
    lane.admit(1, session.clock.now + 0.02)
    lane.stop()


async def test_predictions_count_what_the_loop_does_between_batches() -> None:
    session = Session(Clock(), 0.0001)
    lane = make_lane(session)

    async def caller(first: int) -> None:
        for number in range(20):
            with lane.admit(1) as place:
                await lane.run(rows(first + number), place)
            session.clock.now += 0.01  # packing the reply, say

    await asyncio.gather(*(caller(100 * number) for number in range(8)))
    lane.admit(1, session.clock.now + 0.01)  # alone, it waits for nobody's reply
    with pytest.raises(QueueFull):
        lane.admit(4, session.clock.now + 0.02)
    lane.stop()


async def test_metrics_tell_batches_rows_and_waits() -> None:
    metrics = Metrics()
    session = Session(Clock(), 0.5)
    lane = make_lane(session, metrics=metrics.lane("m", "1", "encode"))
    blocker = await hold(lane, session)
    waiting = [start(lane, *range(6)), start(lane, 1)]
    await asyncio.sleep(0)
    assert lane.rows == 8
    session.free.set()
    await asyncio.gather(blocker, *waiting)
    lane.stop()
    found = {name: changes[0][1] for name, changes in metrics.instruments.take().items()}
    assert found["evenface_queue_rows"] == [0]
    assert found["evenface_images"] == [8]
    rows_sum, *batches = found["evenface_batch_rows"]
    assert rows_sum == 8
    assert sum(batches) == 3
    wait_sum, *waits = found["evenface_queue_wait_seconds"]
    assert wait_sum == pytest.approx(0 + 0.5 + 2.5)
    assert sum(waits) == 3
    run_sum, *runs = found["evenface_inference_seconds"]
    assert run_sum == pytest.approx(8 * 0.5)
    assert sum(runs) == 3
