"""Budgets, patience and the times of a connection."""

import math
import time

import pytest
from evenface_transport import Code, Limits, StatusError
from evenface_transport.budget import Account, Budget
from evenface_transport.frames import ErrorCode, ProtocolError
from evenface_transport.lifetime import Lifetime, Step
from evenface_transport.patience import Patience


def test_an_account_is_refused_beyond_its_share_and_beyond_the_budget() -> None:
    budget = Budget(100)
    one, two = Account(budget, 60), Account(budget, 60)
    one.reserve(60)
    with pytest.raises(StatusError, match=r"60 bytes .* 60 of them .* limit 100, .* 60") as caught:
        one.reserve(1)
    assert (caught.value.code, caught.value.retry_after) == (Code.RESOURCE_EXHAUSTED, 0.5)
    two.reserve(40)
    with pytest.raises(StatusError):
        two.reserve(1)
    two.add(50)  # a reply cannot be refused
    assert budget.held == 150
    one.release(60)
    with pytest.raises(StatusError):
        one.reserve(20)
    two.release(90)
    one.reserve(60)
    assert budget.held == 60


def test_patience_runs_out_comes_back_and_is_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    patience = Patience()
    for _ in range(10_000):
        patience.spend()
    with pytest.raises(ProtocolError) as caught:
        patience.spend()
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    now += 0.5
    patience.spend(499)
    with pytest.raises(ProtocolError):
        patience.spend()
    patience.earn(11)
    patience.spend(10)
    now += 10**6
    patience.spend()
    for _ in range(9_999):
        patience.spend()
    with pytest.raises(ProtocolError):
        patience.spend(2)


LIMITS = Limits(
    idle_seconds=50, age_grace_seconds=10, ping_seconds=7, answer_seconds=3, max_age_seconds=1000
)


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Lifetime:
    """A connection that begins at time 0."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    return Lifetime(LIMITS, 100)


def step(life: Lifetime, now: float, *, greeted: bool = True, busy: bool = True) -> Step | None:
    return life.next_step(now, is_greeted=greeted, is_busy=busy)


def test_a_silent_peer_is_pinged_once_and_given_up_without_an_answer(life: Lifetime) -> None:
    assert step(life, 7) is None
    assert step(life, 7.1) is Step.PING
    life.ping(7.1)
    assert step(life, 10) is None
    assert step(life, 10.2) is Step.HANG_UP
    life.hear()
    assert step(life, 10.2) is Step.PING


def test_a_peer_that_never_greets_is_given_up(life: Lifetime) -> None:
    life.heard = 21.0
    assert step(life, 20, greeted=False) is None
    assert step(life, 20.1, greeted=False) is Step.HANG_UP


def test_an_idle_connection_leaves_and_a_busy_one_only_when_old(life: Lifetime) -> None:
    life.heard = 101.0
    assert step(life, 50.1, busy=True) is None
    assert step(life, 50, busy=False) is None
    assert step(life, 50.1, busy=False) is Step.LEAVE
    assert step(life, 100.1, busy=True) is Step.LEAVE


def test_a_leaving_connection_waits_for_the_peer_then_for_its_calls(
    life: Lifetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.heard = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    life.leave(None)
    assert step(life, 50.9) is None
    assert step(life, 51.1) is Step.TAKE_LEAVE
    life.has_left = True
    assert step(life, 60) is None
    assert step(life, 60.1) is Step.REFUSE
    life.leave(1000)
    assert step(life, 99) is None


def test_who_is_asked_to_leave_without_haste_still_ends_by_its_age(life: Lifetime) -> None:
    life.heard = 110.0
    life.leave(math.inf)
    life.has_left = True
    assert step(life, 110) is None
    assert step(life, 110.1) is Step.REFUSE


def test_who_has_said_the_last_word_hangs_up_soon(life: Lifetime) -> None:
    life.end()
    assert step(life, 2) is None
    assert step(life, 2.1) is Step.HANG_UP
