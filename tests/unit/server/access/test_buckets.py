"""Rates that hold over all processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from evenface_server.access.buckets import SLOTS, Buckets, Rate

RATE = Rate("somebody", per_second=10.0, capacity=5.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Iterator[Buckets]:
    made = Buckets(None, clock)
    yield made
    made.close()


def test_a_full_bucket_gives_its_capacity_and_then_says_how_long_to_wait(buckets: Buckets) -> None:
    assert [buckets.take(RATE, 1) for _ in range(5)] == [0] * 5
    assert buckets.take(RATE, 1) == pytest.approx(0.1)
    assert buckets.take(RATE, 3) == pytest.approx(0.3)


def test_who_waits_as_long_as_advised_gets_it(buckets: Buckets, clock: Clock) -> None:
    for _ in range(100):
        wait = buckets.take(RATE, 1)
        clock.now += wait
        if wait:
            assert buckets.take(RATE, 1) <= 1e-9


def test_what_is_refused_is_not_counted(buckets: Buckets, clock: Clock) -> None:
    for _ in range(5):
        buckets.take(RATE, 1)
    assert all(buckets.take(RATE, 1) for _ in range(1000))
    clock.now += 0.1001
    assert buckets.take(RATE, 1) == 0


def test_the_rate_holds_however_fast_a_caller_asks(buckets: Buckets, clock: Clock) -> None:
    taken = 0
    for _ in range(100_000):
        taken += buckets.take(RATE, 1) == 0
        clock.now += 0.001
    assert taken == pytest.approx(5 + 10 * 100, abs=1)


def test_a_bucket_holds_no_more_than_its_capacity_after_a_long_rest(
    buckets: Buckets, clock: Clock
) -> None:
    buckets.take(RATE, 5)
    clock.now += 1e6
    assert buckets.take(RATE, 5) == 0
    assert buckets.take(RATE, 1) > 0


def test_more_than_the_capacity_needs_a_full_bucket_and_is_worked_off(
    buckets: Buckets, clock: Clock
) -> None:
    assert buckets.take(RATE, 25) == 0
    assert buckets.take(RATE, 1) == pytest.approx(2.1)
    clock.now += 2.2
    assert buckets.take(RATE, 25) == pytest.approx(0.3)


def test_on_credit_everything_is_given_and_worked_off_later(buckets: Buckets, clock: Clock) -> None:
    assert [buckets.take(RATE, 10, on_credit=True) for _ in range(3)] == [0] * 3
    assert buckets.take(RATE, 0) == pytest.approx(2.5)
    clock.now += 2.4
    assert buckets.take(RATE, 0) == pytest.approx(0.1)
    clock.now += 0.1
    assert buckets.take(RATE, 0) == 0


def test_buckets_of_other_names_and_other_rates_are_full(buckets: Buckets) -> None:
    buckets.take(RATE, 5)
    assert buckets.take(RATE._replace(bucket="somebody else"), 5) == 0
    assert buckets.take(RATE._replace(per_second=20.0), 5) == 0


def test_with_more_callers_than_slots_those_that_are_busiest_keep_theirs(
    buckets: Buckets, clock: Clock
) -> None:
    busy = Rate("busy", per_second=0.001, capacity=5.0)
    buckets.take(busy, 5)
    for number in range(SLOTS + 100):
        assert buckets.take(RATE._replace(bucket=str(number)), 5) == 0
        clock.now += 0.5
    assert buckets.take(busy, 5) > 0
    # The first have lost their slots, and nothing with them: they were full again.
    assert buckets.take(RATE._replace(bucket="0"), 5) == 0
    assert buckets.take(RATE._replace(bucket="0"), 1) > 0


def test_processes_that_name_the_same_file_draw_on_the_same_bucket(
    tmp_path: Path, clock: Clock
) -> None:
    one, two = Buckets(tmp_path / "buckets", clock), Buckets(tmp_path / "buckets", clock)
    assert one.take(RATE, 3) == 0
    assert two.take(RATE, 3) > 0
    assert two.take(RATE, 2) == 0
    assert one.take(RATE, 1) > 0
    one.close()
    two.close()


def test_a_slot_that_went_to_another_s_bucket_is_given_up(tmp_path: Path, clock: Clock) -> None:
    one, two = Buckets(tmp_path / "buckets", clock), Buckets(tmp_path / "buckets", clock)
    one.take(RATE, 5)
    clock.now += 60
    for number in range(SLOTS):
        two.take(RATE._replace(bucket=str(number)), 5)
    assert one.take(RATE, 5) == 0
    assert two.take(RATE, 1) > 0
    one.close()
    two.close()


_DRAW = """
import sys
from pathlib import Path
from evenface_server.access.buckets import Buckets, Rate
buckets = Buckets(Path(sys.argv[1]), lambda: 1000.0)
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
rate = Rate("shared", 1.0, 20_000.0)
print(sum(buckets.take(rate, 1) == 0 for _ in range(20_000)))
"""


def test_processes_that_draw_at_once_get_together_what_the_bucket_holds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DRAW, str(tmp_path / "buckets")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [int(process.communicate()[0]) for process in processes]
    assert sum(taken) == 20_000
    assert min(taken) > 0
