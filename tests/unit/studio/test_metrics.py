"""Metrics: what grows, what begins anew, quantiles; and the points of the last minutes."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from evenface_studio.history import POINTS, History
from evenface_studio.metrics import NotOurs, Scrape, Series, growth, quantile, read
from hypothesis import given
from hypothesis import strategies as st

TEXT = """\
# HELP evenface_queue_rows Rows admitted, not answered.
# TYPE evenface_queue_rows gauge
evenface_queue_rows{function="encode",model="faces",version="1"} 3.0
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Encode",grpc_type="unary"} 12.0
process_cpu_seconds_total 3.5
# TYPE evenface_latent_drift gauge
evenface_latent_drift{model="faces",statistic="mean",version="1"} NaN
evenface_latent_drift{model="faces",statistic="max",version="1"} +Inf
"""
BOUNDS = (0.001, 0.01, 0.1, 1.0, math.inf)


def test_what_matters_of_the_text_is_read_where_it_is_a_number() -> None:
    found = read(TEXT, 1.0)
    assert {name: value for (name, _), value in found.counters.items()} == {
        "grpc_server_handled_total": 12.0
    }
    assert list(found.gauges.values()) == [3.0]


@pytest.mark.parametrize(
    "text", ["", "up 1\n", "<html>no metrics</html>", '{"a": 1}', "evenface_queue_rows{a=\n", "\0"]
)
def test_another_text_is_not_taken_for_metrics(text: str) -> None:
    with pytest.raises(NotOurs):
        read(text, 1.0)


def handled(value: float, code: str = "OK", method: str = "Encode") -> dict[Series, float]:
    labels = {
        "grpc_code": code,
        "grpc_method": method,
        "grpc_service": "evenface.v1.FaceService",
        "grpc_type": "unary",
    }
    return {("grpc_server_handled_total", tuple(sorted(labels.items()))): value}


def latency(counts: Iterable[float], method: str = "Encode") -> dict[Series, float]:
    """Cumulative counts by bound."""
    own = {
        "grpc_method": method,
        "grpc_service": "evenface.v1.FaceService",
        "grpc_type": "unary",
    }
    return {
        (
            "grpc_server_handling_seconds_bucket",
            tuple(sorted({**own, "le": str(bound)}.items())),
        ): count
        for bound, count in zip(BOUNDS, counts, strict=True)
    }


def scrape(at: float, *counters: dict[Series, float], **gauges: float) -> Scrape:
    merged = {series: value for some in counters for series, value in some.items()}
    return Scrape(at, merged, {(name, ()): value for name, value in gauges.items()})


def test_a_counter_grows_and_what_is_new_has_grown_from_nothing() -> None:
    before, now = scrape(0, handled(5)), scrape(1, handled(8), handled(2, "INTERNAL"))
    assert sorted(growth(before, now).values()) == [2, 3]
    assert growth(None, now) == {}


def test_after_a_restart_all_that_there_is_has_grown() -> None:
    before = scrape(0, handled(5), handled(100, method="Decode"))
    # Decode has more than before already; only Encode tells of the restart.
    now = scrape(1, handled(2), handled(101, method="Decode"))
    assert sorted(growth(before, now).values()) == [2, 101]
    assert growth(before, scrape(1, handled(101, method="Decode"))) == handled(101, method="Decode")


def test_buckets_below_those_that_grew_are_kept_as_the_lower_bound() -> None:
    grown = growth(scrape(0, latency([0] * 5)), scrape(1, latency([0, 0, 4, 4, 4])))
    assert len(grown) == 5
    assert quantile(0.5, [(0.001, 0), (0.01, 0), (0.1, 4), (math.inf, 4)]) == pytest.approx(0.055)


@given(st.lists(st.floats(0.0, 0.999), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_value_that_has_it(
    values: list[float], share: float
) -> None:
    buckets = [(bound, float(sum(value <= bound for value in values))) for bound in BOUNDS]
    found = quantile(share, buckets)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    holder = next(at for at, bound in enumerate(BOUNDS) if exact <= bound)
    assert found is not None
    low = BOUNDS[holder - 1] if holder else 0.0
    assert low - 1e-9 <= found <= BOUNDS[holder] + 1e-9


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_of_nothing_none() -> None:
    assert quantile(0.99, [(1.0, 0), (math.inf, 5)]) == 1.0
    assert quantile(0.5, [(1.0, 0), (math.inf, 0)]) is None
    assert quantile(0.5, []) is None


def seen(*scrapes: Scrape) -> tuple[History, list[dict[str, Any]]]:
    history = History()
    for one in scrapes:
        history.add(one, 1000 + one.at)
    return history, [dict(point) for point in history.since(0)]


def test_rates_and_quantiles_are_of_the_last_ten_seconds() -> None:
    steps = [
        scrape(second, handled(10.0 * second), latency([0, 0, *[10.0 * second] * 3]))
        for second in range(31)
    ]
    history, points = seen(*steps)
    assert "requests" not in points[0]
    assert points[-1]["requests"] == 10
    assert points[-1]["p50"] == pytest.approx(0.055)
    [row] = history.table()
    assert (row["method"], row["requests"], row["errors"]) == ("FaceService/Encode", 10, 0)


def test_errors_are_counted_by_method_and_code() -> None:
    history, points = seen(
        scrape(0, handled(0)),
        scrape(1, handled(3), handled(1, "INTERNAL"), handled(4, "UNAVAILABLE", "Decode")),
    )
    assert (points[-1]["requests"], points[-1]["errors"]) == (8, 5)
    rows = {row["method"]: row["codes"] for row in history.table()}
    assert rows == {"FaceService/Encode": {"INTERNAL": 1}, "FaceService/Decode": {"UNAVAILABLE": 4}}


def test_what_grew_while_nobody_looked_is_no_peak_and_breaks_the_line() -> None:
    _, points = seen(scrape(0, handled(0)), scrape(1, handled(1)), scrape(61, handled(601)))
    assert "requests" not in points[-2]
    assert points[-1]["requests"] == 10


def test_a_service_that_is_gone_leaves_a_gap_and_its_return_no_peak() -> None:
    history = History()
    history.add(scrape(0, handled(1000)), 0)
    history.lose(1)
    history.add(scrape(2, handled(4)), 2)
    first, gap, last = history.since(0)
    assert "queue" in first
    assert gap.keys() == {"number", "clock"}
    assert last["requests"] == 2


def test_ten_minutes_are_kept_and_the_newer_ones_given() -> None:
    history = History()
    for second in range(POINTS + 50):
        history.lose(second)
    assert len(history.since(0)) == POINTS
    assert [point["clock"] for point in history.since(POINTS + 48)] == [POINTS + 48, POINTS + 49]


def test_drift_is_told_by_model() -> None:
    def gauge(name: str, value: float, **labels: str) -> dict[Series, float]:
        return {(name, tuple(sorted(labels.items()))): value}

    model = {"model": "faces", "version": "1"}
    gauges = {
        **gauge("evenface_latent_drift", 0.05, **model, statistic="mean"),
        **gauge("evenface_latent_drift", 0.3, **model, statistic="max"),
        **gauge("evenface_latent_drift_rows", 700, **model),
        **gauge("evenface_latent_drift_rows", 20, model="other", version="2"),
    }
    history, [point] = seen(Scrape(0, {}, gauges))
    assert history.drift() == [
        {"model": "faces", "version": "1", "mean": 0.05, "max": 0.3, "rows": 700},
        {"model": "other", "version": "2", "rows": 20},
    ]
    assert np.isclose([point["drift_mean"], point["drift_max"]], [0.05, 0.3]).all()
