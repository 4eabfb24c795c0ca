"""A capture has the GPU to itself, and gets its turn."""

import threading
from collections.abc import Callable

import pytest
from evenface_runtime.captures import Captures
from support.patience import PATIENCE


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_many_share_at_the_same_time() -> None:
    captures = Captures()
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def work() -> None:
        with captures.shared():
            meeting.wait()

    threads = [_started(work) for _ in range(2)]
    with captures.shared():
        meeting.wait()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_capture_waits_for_those_at_work_and_goes_before_those_who_come_later() -> None:
    captures = Captures()
    order: list[str] = []
    queued, entered = threading.Event(), threading.Event()

    def capture() -> None:
        with captures.alone():
            order.append("capture")

    def come_later() -> None:
        with captures.shared():
            entered.set()
            order.append("later")

    with captures.shared():
        capturing = _started(capture)
        while not captures.is_wanted:
            queued.wait(0.001)
        later = _started(come_later)
        assert not entered.wait(0.2)
        order.append("at work")
    capturing.join(PATIENCE)
    later.join(PATIENCE)
    assert order == ["at work", "capture", "later"]


def test_nobody_works_while_a_capture_lasts() -> None:
    captures = Captures()
    at_work: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for number in range(200):
            with captures.shared():
                at_work.append(number)
                at_work.pop()

    def capture() -> None:
        for _ in range(50):
            with captures.alone():
                seen.append(len(at_work))

    for thread in [_started(each) for each in (work, work, capture, capture)]:
        thread.join(PATIENCE)
    assert seen == [0] * 100


@pytest.mark.parametrize("mode", ["shared", "alone"])
def test_an_error_lets_the_next_in(mode: str) -> None:
    captures = Captures()
    with pytest.raises(RuntimeError, match="lost"), getattr(captures, mode)():
        raise RuntimeError("lost")
    with captures.alone():
        pass
    with captures.shared():
        pass
