"""Checks of answers, process accounting, and the way from rounds to ratios."""

import os
import sys
from collections.abc import Mapping

import pytest

from benchmarks.serving.floors import Floor
from benchmarks.serving.h2load import Summary as Counts
from benchmarks.serving.measure import Figures, WrongAnswer, check_lengths
from benchmarks.serving.medians import median
from benchmarks.serving.processes import parse_stat, serve
from benchmarks.serving.rounds import Round
from benchmarks.serving.subjects import evenface, noop, peers
from benchmarks.serving.summary import Summary, summarise
from benchmarks.serving.tables import table, write_tables
from benchmarks.serving.wires import EvenfaceWire, Request, reply_size
from benchmarks.serving.workloads import SCENARIOS, Scenario


def floor(rate: float, cpu: float) -> Floor:
    return Floor("python", rate, 1.0, 2.0, cpu, 2.0, 0.0)


def figures(rate: float, cpu: float, images: int = 1, p99: float = 20.0) -> Figures:
    rates = float(rate), float(rate * images)
    return Figures(*rates, 10.0, p99, 1.8, 0.2, 0.0, cpu, 20e-6, "h2load")


def one_round(**own: Figures) -> Round:
    servers: Mapping[str, Mapping[str, Figures]] = {
        "no-op grpc.aio": {"single": figures(6000, 300e-6), "batch": figures(900, 480e-6)},
        "evenface": own,
        "PyTriton": {"single": figures(1500, 1e-3, p99=40.0)},
        "MLServer": {"single": figures(700, 3e-3, p99=80.0)},
    }
    failures: dict[str, dict[str, str]] = {name: {} for name in servers} | {
        "MLServer": {"batch": "0 succeeded"}
    }
    sessions = {1: floor(5000, 400e-6), 32: floor(10_000, 200e-6), 64: floor(9000, 210e-6)}
    return Round(sessions, {}, {"batch": floor(9500, 210e-6)}, servers, failures)


def summary_of(*rounds: Round) -> Summary:
    return summarise(rounds, [noop(), evenface(), *peers()], cores=2)


def test_bytes_of_right_answers_and_of_those_under_way_are_accepted() -> None:
    check_lengths(Counts(1.0, 100, 0, 83_900), body_bytes=839, in_flight=32)
    check_lengths(Counts(1.0, 100, 0, 83_900 + 32 * 839), body_bytes=839, in_flight=32)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (Counts(1.0, 100, 0, 50_000), "answers had 500 bytes on average, right ones have 839"),
        (Counts(1.0, 100, 0, 200_000), "2000 bytes"),
        (Counts(1.0, 100, 3, 83_900), "3 requests failed"),
        (Counts(1.0, 0, 0, 0), "no request was answered in 1 s"),
    ],
)
def test_a_run_with_other_answers_is_refused(counts: Counts, message: str) -> None:
    with pytest.raises(WrongAnswer, match=message):
        check_lengths(counts, body_bytes=839, in_flight=32)


def test_a_process_s_name_may_hold_spaces_and_parentheses() -> None:
    rest = "S 7 1 1 0 -1 0 0 0 0 0 100 20 3 4 20 0"
    tick = os.sysconf("SC_CLK_TCK")
    assert parse_stat(f"42 (a) b) {rest}") == (7, 127 / tick)


def test_what_a_server_s_children_do_counts_and_ends_with_it() -> None:
    grandchild = "import time; time.sleep(60)"
    # Without the mark in its environment, it is known by its parent alone.
    start = f"subprocess.run([sys.executable, '-c', {grandchild!r}], env={{}})"
    child = f"import subprocess, sys; {start}"
    with serve("test", [sys.executable, "-c", child], {}) as server:
        server.wait_until(lambda: len(server.pids()) == 2, 20)
    assert server.pids() == []


def test_the_reply_of_the_no_op_server_is_as_long_as_evenface_s() -> None:
    assert reply_size(Scenario("one", "")) == 834
    assert reply_size(Scenario("many", "", images=32)) > 32 * 800


def test_messages_are_framed_as_grpc_does() -> None:
    assert Request("/", (b"ab", b"c")).framed == b"\0\0\0\0\2ab\0\0\0\0\1c"


def test_a_stream_s_request_holds_all_its_messages() -> None:
    stream = next(each for each in SCENARIOS if each.key == "stream")
    request = EvenfaceWire().request(stream)
    assert len(request.messages) == 8
    assert len(set(map(len, request.messages))) == 1


def test_medians_are_taken_of_each_figure_by_itself() -> None:
    found = median([figures(1, 5e-6), figures(3, 1e-6), figures(2, 9e-6)])
    assert (found.requests_per_second, found.server_cpu) == (2, 5e-6)


def test_the_unary_ratio_is_against_no_op_and_session_cpu_of_the_same_round() -> None:
    slow, fast = figures(2000, 900e-6), figures(4000, 500e-6)
    found = summary_of(one_round(single=slow), one_round(single=fast), one_round(single=fast))
    ratios = {(each.against, each.unit): each for each in found.ratios}
    limit = ratios["cores / CPU of no-op + session", "images/s"]
    assert (limit.other, limit.evenface, limit.ratio) == pytest.approx((4000, 4000, 1.0))
    cpu = ratios["no-op + session", "CPU µs/image"]
    assert (cpu.other, cpu.evenface) == pytest.approx((500, 500))


def test_bulk_is_compared_with_the_session_beside_it_on_what_the_client_leaves() -> None:
    found = summary_of(one_round(batch=figures(225, 6e-3, images=32)))
    ratios = {(each.against, each.unit): each for each in found.ratios}
    rate = ratios["session on the cores that the client leaves", "images/s"]
    assert (rate.other, rate.evenface, rate.ratio) == pytest.approx((8550, 7200, 7200 / 8550))
    cpu = ratios["session", "CPU µs/image"]
    assert (cpu.other, cpu.evenface) == pytest.approx((210, 187.5))


def test_bulk_is_compared_with_no_op_and_the_session_beside_it() -> None:
    found = summary_of(one_round(batch=figures(225, 6e-3, images=32)))
    ratios = {(each.against, each.unit): each for each in found.ratios}
    cpu = ratios["no-op + session", "CPU µs/image"]
    assert (cpu.other, cpu.evenface) == pytest.approx((225, 187.5))
    alone = ratios["cores / CPU of no-op + session", "images/s"]
    with_client = ratios["cores / CPU of no-op + session + client", "images/s"]
    assert alone.other == pytest.approx(2 / 225e-6)
    assert with_client.other == pytest.approx(2 * 32 / (32 * 225e-6 + 20e-6))


def test_peers_are_compared_by_protocol() -> None:
    found = summary_of(one_round(single=figures(3000, 6e-4, p99=10.0)))
    ratios = {(each.against, each.unit): each for each in found.ratios}
    assert ratios["fastest gRPC peer", "images/s"].ratio == pytest.approx(2)
    assert ratios["gRPC peer of the lowest p99", "p99 ms"].ratio == pytest.approx(0.25)
    assert not any("HTTP" in each.against for each in found.ratios)


def test_what_failed_stands_in_the_tables_with_its_reason() -> None:
    found = summary_of(one_round(single=figures(3000, 6e-4)))
    batch = [each for each in SCENARIOS if each.key == "batch"]
    text = write_tables(found, [noop(), evenface(), *peers()], batch)
    assert "| MLServer | gRPC | failed, see below |" in text
    assert "| MLServer | batch | 0 succeeded |" in text
    assert "| PyTriton | gRPC | has no such call |" in text


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    assert table(("a",), [("x|y\nz",)]).splitlines()[-1] == "| x\\|y z |"
