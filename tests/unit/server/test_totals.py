"""What several processes count, added up."""

import json
from collections.abc import Mapping

from evenface_server.instruments import Instruments
from evenface_server.totals import Totals
from prometheus_client import CollectorRegistry, generate_latest


class Process:
    """The metrics of one process, as many of them have."""

    def __init__(self) -> None:
        self.instruments = Instruments()
        self.calls = self.instruments.counter("calls", "Calls.", "method")
        self.rows = self.instruments.gauge("rows", "Rows.")
        self.info = self.instruments.gauge("info", "Models.", "model", across=max)
        self.seconds = self.instruments.histogram("seconds", "Seconds.", (0.1, 1.0))

    def report(self) -> Mapping[str, object]:
        taken: Mapping[str, object] = json.loads(json.dumps(self.instruments.take()))
        return taken


def _shown(totals: Totals) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(totals)
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def _both() -> tuple[Process, Process, Totals]:
    return Process(), Process(), Totals(Process().instruments)


def test_counters_of_all_processes_add_up_report_by_report() -> None:
    one, two, totals = _both()
    one.calls.labels("Encode").inc()
    two.calls.labels("Encode").inc(4)
    totals.add(1, one.instruments.take())
    totals.add(2, two.instruments.take())
    one.calls.labels("Encode").inc(2)
    totals.add(1, one.instruments.take())
    totals.add(1, one.instruments.take())
    assert _shown(totals)['calls_total{method="Encode"}'] == 7


def test_counts_outlive_their_process_and_gauges_do_not() -> None:
    one, two, totals = _both()
    for process, rows in ((one, 3), (two, 4)):
        process.calls.labels("Encode").inc()
        process.rows.labels().set(rows)
        totals.add(process, process.instruments.take())
    assert _shown(totals)["rows"] == 7
    totals.forget(one)
    shown = _shown(totals)
    assert shown["rows"] == 4
    assert shown['calls_total{method="Encode"}'] == 2


def test_a_gauge_may_take_the_largest_value() -> None:
    one, two, totals = _both()
    for process in (one, two):
        process.info.labels("faces").set(1)
        totals.add(process, process.instruments.take())
    assert _shown(totals)['info{model="faces"}'] == 1


def test_cleared_gauges_are_shown_no_more_unless_set_again() -> None:
    process, _, totals = _both()
    process.info.labels("old").set(1)
    process.info.labels("both").set(1)
    totals.add(1, process.instruments.take())
    process.info.clear()
    process.info.labels("both").set(1)
    totals.add(1, process.instruments.take())
    assert [name for name in _shown(totals) if name.startswith("info")] == ['info{model="both"}']


def test_what_cleared_counters_have_counted_stays() -> None:
    process, _, totals = _both()
    process.calls.labels("Encode").inc(3)
    process.calls.clear()
    totals.add(1, process.instruments.take())
    process.calls.labels("Encode").inc(2)
    totals.add(1, process.instruments.take())
    assert _shown(totals)['calls_total{method="Encode"}'] == 5


def test_buckets_of_histograms_are_cumulative_with_their_bound_within() -> None:
    one, two, totals = _both()
    for value in (0.05, 0.1, 0.5):
        one.seconds.labels().observe(value)
    two.seconds.labels().observe(30.0)
    totals.add(1, one.instruments.take())
    totals.add(2, two.instruments.take())
    shown = _shown(totals)
    assert shown['seconds_bucket{le="0.1"}'] == 2
    assert shown['seconds_bucket{le="1.0"}'] == 3
    assert shown['seconds_bucket{le="+Inf"}'] == shown["seconds_count"] == 4
    assert shown["seconds_sum"] == 30.65


def test_only_changes_are_reported_and_new_series_at_once() -> None:
    process = Process()
    process.calls.labels("Encode")
    assert process.report() == {"calls": [[["Encode"], [0.0]]]}
    assert process.report() == {}
    process.calls.labels("Encode").inc()
    process.rows.labels().set(0)
    assert process.report() == {"calls": [[["Encode"], [1.0]]], "rows": [[[], [0.0]]]}
