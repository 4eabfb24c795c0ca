"""The door that closes for draining, and the gate that knows room and time."""

import asyncio
from collections.abc import Callable

import pytest
from evenface_core.errors import DeadlineExpired, InvalidInput, QueueFull, ServiceUnavailable
from evenface_server.admission import Door, Gate, Room
from evenface_server.pace import Pace
from hypothesis import given
from hypothesis import strategies as st
from support.lanes import Clock

TURN = 4
ROW_SECONDS = 0.01


async def test_a_closed_door_lets_nobody_in_but_those_inside_finish() -> None:
    door = Door()
    with door.enter():
        door.close()
        leaving = asyncio.create_task(door.empty())
        await asyncio.sleep(0)
        assert not leaving.done()
        with pytest.raises(ServiceUnavailable) as caught, door.enter():
            pass
        assert caught.value.retry_after > 0
    await leaving


async def test_a_door_that_nobody_passed_is_empty() -> None:
    await Door().empty()


async def test_an_error_inside_counts_as_leaving() -> None:
    door = Door()
    with pytest.raises(ValueError, match="inside"), door.enter():
        raise ValueError("inside")
    await door.empty()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace() -> Pace:
    """10 ms a row, and nothing besides."""
    found = Pace()
    found.note(TURN, TURN * ROW_SECONDS)
    return found


@pytest.fixture
def gate(clock: Clock, pace: Pace) -> Gate:
    return make_gate(clock, pace)


def make_gate(
    clock: Clock,
    pace: Pace,
    *,
    max_rows: int = 16,
    own_pace: Pace | None = None,
    on_change: Callable[[int], None] = lambda _: None,
) -> Gate:
    return Gate(
        "test",
        max_rows,
        turn_rows=TURN,
        pace=pace,
        own_pace=own_pace or pace,
        on_change=on_change,
        clock=clock,
    )


def test_room_is_given_back_however_a_call_ends(gate: Gate) -> None:
    with gate.admit(3):
        assert gate.rows == 3
    with pytest.raises(ValueError, match="failed"), gate.admit(2):
        raise ValueError("failed")
    assert gate.rows == 0


def test_whoever_watches_is_told_each_change(clock: Clock) -> None:
    seen: list[int] = []
    gate = make_gate(clock, Pace(), on_change=seen.append)
    with gate.admit(3), gate.admit(1):
        pass
    assert seen == [3, 4, 3, 0]


def test_a_full_queue_says_how_full_and_when_there_will_be_room(gate: Gate) -> None:
    for _ in range(4):
        gate.admit(TURN)
    with pytest.raises(QueueFull, match="test: 16 rows are queued; limit 16") as caught:
        gate.admit(3)
    assert caught.value.retry_after == pytest.approx(3 * ROW_SECONDS)


def test_large_calls_leave_room_for_small_ones(gate: Gate) -> None:
    gate.admit(5)
    with pytest.raises(QueueFull, match="5 rows of calls of more than 4 are queued; limit 12"):
        gate.admit(8)
    gate.admit(7)
    gate.admit(TURN)
    with pytest.raises(QueueFull, match="16 rows are queued"):
        gate.admit(1)


def test_a_large_call_alone_may_take_all_the_room(gate: Gate) -> None:
    with gate.admit(16):
        assert gate.rows == 16
    gate.admit(1)
    gate.admit(15)


def test_a_call_that_would_be_late_is_refused_with_what_it_lacks(gate: Gate, clock: Clock) -> None:
    for _ in range(3):
        gate.admit(TURN)
    with pytest.raises(QueueFull, match="take about 130 ms, and the deadline is in 100 ms") as why:
        gate.admit(1, clock.now + 0.1)
    assert 0.03 < why.value.retry_after < 0.06
    gate.admit(1, clock.now + 0.2)


def test_calls_of_cheap_rows_have_to_fit_even_if_they_wait_for_four_times_as_long(
    clock: Clock,
) -> None:
    pace = Pace()
    pace.note(1, 0.001)
    gate = make_gate(clock, pace, max_rows=1000)
    for _ in range(25):
        gate.admit(TURN)
    with pytest.raises(QueueFull, match="take about 100 ms, and the deadline is in 200 ms") as why:
        gate.admit(1, clock.now + 0.2)
    assert 0.05 < why.value.retry_after < 0.052  # when 4 × what is left of the wait fits
    gate.admit(1, clock.now + 0.404)


def test_a_run_in_progress_counts_for_what_is_left_of_it(gate: Gate, clock: Clock) -> None:
    place = gate.admit(TURN)
    place.take(TURN)
    gate.busy_until = clock.now + 0.04
    with pytest.raises(QueueFull, match="take about 50 ms"):
        gate.admit(1, clock.now + 0.04)
    clock.now += 0.03
    gate.admit(1, clock.now + 0.04)


def test_preparing_goes_on_while_others_run(gate: Gate, clock: Clock) -> None:
    gate.admit(TURN)
    with pytest.raises(QueueFull, match="take about 60 ms"):
        gate.admit(1, clock.now + 0.05, ready_in=0.05)
    gate.admit(1, clock.now + 0.08, ready_in=0.05)


def test_a_small_call_waits_for_one_turn_of_a_large_one_alone(gate: Gate, clock: Clock) -> None:
    gate.admit(16 - 1)
    gate.admit(1, clock.now + 0.061)


def test_a_large_call_waits_for_as_many_turns_of_others_as_it_takes_itself(
    clock: Clock, pace: Pace
) -> None:
    gate = make_gate(clock, pace, max_rows=1000)
    gate.admit(100)
    gate.admit(2)
    with pytest.raises(QueueFull, match="take about 180 ms"):
        gate.admit(8, clock.now + 0.17)
    gate.admit(8, clock.now + 0.203)


def test_an_idle_queue_refuses_what_cannot_fit_until_it_has_doubts(
    gate: Gate, clock: Clock, pace: Pace
) -> None:
    gate.admit(1, clock.now + 0.014).__exit__(None, None, None)
    with pytest.raises(QueueFull, match="take about 40 ms, and the deadline is in 20 ms"):
        gate.admit(TURN, clock.now + 0.02)
    refused = 1
    while True:
        try:
            gate.admit(TURN, clock.now + 0.02)
        except QueueFull:
            refused += 1
        else:
            break
    assert 3 < refused < 20
    assert pace.seconds(TURN) < 0.02


def test_deadlines_that_no_call_could_meet_raise_no_doubts(
    gate: Gate, clock: Clock, pace: Pace
) -> None:
    expected = pace.seconds(TURN)
    for left, ready_in in ((0.001, 0.0), (0.023, 0.02)):
        with pytest.raises(QueueFull):
            gate.admit(TURN, clock.now + left, ready_in=ready_in)
    assert pace.seconds(TURN) == expected


def test_a_call_that_is_alone_waits_for_nobody(clock: Clock, pace: Pace) -> None:
    own = Pace()
    own.note(1, 0.001)
    gate = make_gate(clock, pace, own_pace=own)
    with gate.admit(1, clock.now + 0.005), pytest.raises(QueueFull):
        gate.admit(1, clock.now + 0.005)
    with pytest.raises(QueueFull, match="take about 21 ms"):
        gate.admit(1, clock.now + 0.02, ready_in=0.02)


def test_nothing_is_refused_for_time_before_any_was_measured(clock: Clock) -> None:
    make_gate(clock, Pace()).admit(16, clock.now + 1e-6)


def test_a_deadline_that_has_passed_is_no_matter_of_trying_again(gate: Gate, clock: Clock) -> None:
    with pytest.raises(DeadlineExpired):
        gate.admit(1, clock.now)
    assert gate.rows == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.integers(0, 20), st.booleans()), min_size=1, max_size=30
    )
)
def test_what_waits_before_a_call_is_counted_right_whatever_happens(
    calls: list[tuple[int, int, bool]],
) -> None:
    clock, pace = Clock(), Pace()
    pace.note(1, 1.0)
    gate = make_gate(clock, pace, max_rows=10_000)
    waiting: list[int] = []
    for rows, taken, stays in calls:
        place = gate.admit(rows)
        place.take(min(rows, taken))
        if stays:
            waiting.append(max(0, rows - taken))
        else:
            place.__exit__(None, None, None)
    expected = sum(min(rows, TURN) for rows in waiting)
    if waiting:
        with pytest.raises(QueueFull, match=f"take about {1000 * (expected + 1)} ms"):
            gate.admit(1, clock.now + 0.5)


async def test_calls_that_were_let_come_count_until_they_are_here(gate: Gate, clock: Clock) -> None:
    deadline = clock.now + 0.05
    gate.admit(1)
    assert [gate.refusal(deadline) is None for _ in range(5)] == [True] * 3 + [False] * 2
    full = gate.refusal(deadline)
    assert full is not None
    assert "take about 50 ms, and the deadline is in 50 ms" in str(full)
    await asyncio.sleep(0)
    assert gate.refusal(deadline) is None


async def test_a_full_queue_lets_no_call_come_whatever_its_deadline(gate: Gate) -> None:
    assert gate.refusal(None) is None
    gate.admit(15)
    full = gate.refusal(None)
    assert full is not None
    assert "15 rows are queued; limit 16" in str(full)


async def test_who_is_late_learns_so_when_its_request_is_here(gate: Gate, clock: Clock) -> None:
    gate.admit(1)
    assert gate.refusal(clock.now - 1) is None


async def test_an_idle_queue_lets_a_call_come_to_see_what_it_asks_for(
    gate: Gate, clock: Clock
) -> None:
    assert gate.refusal(clock.now + 0.001) is None


def test_a_busy_loop_needs_more_time(gate: Gate, clock: Clock) -> None:
    gate.lag = 0.03
    with gate.admit(1):
        with pytest.raises(QueueFull, match="take about 20 ms, and the deadline is in 80 ms"):
            gate.admit(1, clock.now + 0.08)
        gate.admit(1, clock.now + 0.09)


def test_bytes_are_held_up_to_a_limit_and_given_back() -> None:
    room = Room(100)
    with room.hold("images", 60):
        with pytest.raises(
            QueueFull, match="60 bytes of images and histograms are held; limit 100"
        ):
            room.hold("images", 41).__enter__()
        with room.hold("images", 40):
            assert room.held == 100
    assert room.held == 0
    with pytest.raises(InvalidInput, match="images: 101 bytes to work on; limit 100"):
        room.hold("images", 101).__enter__()
