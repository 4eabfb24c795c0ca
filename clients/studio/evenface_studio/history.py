"""The last ten minutes of a service, a point a second, worked out as each is taken."""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evenface_studio.metrics import Scrape, Series, growth, quantile

POINTS = 600
WINDOW_SECONDS = 10.0  # that rates and quantiles of a point rest on
TABLE_SECONDS = 60.0  # the same for the table of methods
GAP_SECONDS = 3.5  # between two scrapes, from which on a line is broken
_UNARY = "unary"
_DIGITS = 6
_OK = "OK"

_Grown = Mapping[Series, float]


@dataclass(frozen=True)
class _Step:
    """What has grown between two scrapes."""

    at: float
    seconds: float
    grown: _Grown = field(repr=False)


class History:
    """Takes scrapes, and gives points and a table of methods."""

    def __init__(self) -> None:
        self._points: deque[dict[str, Any]] = deque(maxlen=POINTS)
        self._steps: deque[_Step] = deque()
        self._last: Scrape | None = None
        self._number = 0

    def add(self, now: Scrape, clock: float) -> None:
        """Take a scrape.

        Args:
            now: The metrics.
            clock: Time of day, seconds since 1970.
        """
        before, self._last = self._last, now
        if before is not None:
            step = _Step(now.at, now.at - before.at, growth(before, now))
            if step.seconds > GAP_SECONDS:
                self._steps.clear()  # its rate is that of a long time, not of the moment
                self._put({"clock": clock - 1})
            self._steps.append(step)
        while self._steps and self._steps[0].at <= now.at - TABLE_SECONDS:
            self._steps.popleft()
        self._put({"clock": clock, **_gauges(now), **_rates(*self._within(WINDOW_SECONDS))})

    def lose(self, clock: float) -> None:
        """Note that there are no metrics now."""
        self._put({"clock": clock})

    @property
    def last(self) -> int:
        """Number of the newest point."""
        return self._number

    def since(self, number: int) -> list[Mapping[str, Any]]:
        """The points after one, oldest first; a point without values is a gap."""
        return [point for point in self._points if point["number"] > number]

    def table(self) -> list[Mapping[str, Any]]:
        """Each method's requests, errors and latency over the last minute, the busiest first."""
        grown, seconds = self._within(TABLE_SECONDS)
        methods = _methods(grown)
        rows = [_row(name, methods[name], seconds) for name in methods]
        return sorted(rows, key=lambda row: (-row["requests"], row["method"]))

    def rejections(self) -> Mapping[str, float]:
        """Refusals by reason over the last minute."""
        grown, _ = self._within(TABLE_SECONDS)
        return _by(grown, "evenface_rejections_total", "reason")

    def drift(self) -> list[Mapping[str, Any]]:
        """The drift of each model, as it is now."""
        found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        for (name, labels), value in (self._last.gauges if self._last else {}).items():
            named = dict(labels)
            key = (named.get("model", ""), named.get("version", ""))
            if name == "evenface_latent_drift":
                found[key][named.get("statistic", "")] = round(value, _DIGITS)
            elif name == "evenface_latent_drift_rows":
                found[key]["rows"] = value
        return [{"model": m, "version": v, **values} for (m, v), values in sorted(found.items())]

    def _put(self, point: dict[str, Any]) -> None:
        self._number += 1
        self._points.append({"number": self._number, **point})

    def _within(self, seconds: float) -> tuple[dict[Series, float], float]:
        """What has grown of late, and in how many seconds."""
        if self._last is None:
            return {}, 0.0
        total: dict[Series, float] = defaultdict(float)
        passed = 0.0
        for step in self._steps:
            if step.at > self._last.at - seconds:
                passed += step.seconds
                for series, change in step.grown.items():
                    total[series] += change
        return total, passed


def _gauges(now: Scrape) -> dict[str, float | None]:
    def total(name: str) -> float | None:
        values = [value for (of, _), value in now.gauges.items() if of == name]
        return sum(values) if values else None

    def greatest(statistic: str) -> float | None:
        values = [
            value
            for (of, labels), value in now.gauges.items()
            if of == "evenface_latent_drift" and ("statistic", statistic) in labels
        ]
        return max(values, default=None)

    return {
        "queue": total("evenface_queue_rows") or 0.0,
        "workers": total("evenface_workers"),
        "connections": total("evenface_worker_connections"),
        "held": total("evenface_held_bytes"),
        "drift_mean": greatest("mean"),
        "drift_max": greatest("max"),
    }


def _rates(grown: _Grown, seconds: float) -> dict[str, float | None]:
    if not seconds:
        return {}
    unary = _quantiles(grown, "grpc_server_handling_seconds_bucket", _is_unary)
    wait = _quantiles(grown, "evenface_queue_wait_seconds_bucket", lambda _: True)
    handled = _sum(grown, "grpc_server_handled_total", lambda _: True)
    failed = _sum(grown, "grpc_server_handled_total", _is_error)
    batches = _sum(grown, "evenface_batch_rows_count", lambda _: True)
    rows = _sum(grown, "evenface_batch_rows_sum", lambda _: True)
    return {
        "requests": round(handled / seconds, _DIGITS),
        "errors": round(failed / seconds, _DIGITS),
        "images": round(_sum(grown, "evenface_images_total", lambda _: True) / seconds, _DIGITS),
        "batch": round(rows / batches, _DIGITS) if batches else None,
        "p50": unary[0],
        "p99": unary[1],
        "wait_p99": wait[1],
    }


def _row(name: str, grown: _Grown, seconds: float) -> dict[str, Any]:
    handled = _sum(grown, "grpc_server_handled_total", lambda _: True)
    failed = _sum(grown, "grpc_server_handled_total", _is_error)
    p50, p99 = _quantiles(grown, "grpc_server_handling_seconds_bucket", lambda _: True)
    codes = _by(grown, "grpc_server_handled_total", "grpc_code")
    return {
        "method": name,
        "is_stream": not any(_is_unary(dict(labels)) for _, labels in grown),
        "requests": round(handled / seconds, _DIGITS),
        "errors": round(failed / seconds, _DIGITS),
        "codes": {code: count for code, count in codes.items() if code != _OK},
        "p50": p50,
        "p99": p99,
    }


def _methods(grown: _Grown) -> Mapping[str, dict[Series, float]]:
    """What has grown of each RPC."""
    found: dict[str, dict[Series, float]] = defaultdict(dict)
    for (name, labels), change in grown.items():
        named = dict(labels)
        if "grpc_method" in named:
            service = named.get("grpc_service", "").rpartition(".")[2]
            found[f"{service}/{named['grpc_method']}"][name, labels] = change
    return found


def _is_unary(labels: Mapping[str, str]) -> bool:
    return labels.get("grpc_type") == _UNARY


def _is_error(labels: Mapping[str, str]) -> bool:
    return labels.get("grpc_code") != _OK


def _sum(grown: _Grown, name: str, wanted: Callable[[Mapping[str, str]], bool]) -> float:
    return sum(
        change for (of, labels), change in grown.items() if of == name and wanted(dict(labels))
    )


def _by(grown: _Grown, name: str, label: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for (of, labels), change in grown.items():
        if of == name:
            found[dict(labels).get(label, "")] += change
    return found


def _quantiles(
    grown: _Grown, name: str, wanted: Callable[[Mapping[str, str]], bool]
) -> tuple[float | None, float | None]:
    """Median and 99th percentile of a histogram's growth, in its unit."""
    buckets: dict[float, float] = defaultdict(float)
    for (of, labels), change in grown.items():
        named = dict(labels)
        if of == name and wanted(named):
            buckets[float(named.get("le", math.inf))] += change
    return _rounded(quantile(0.5, buckets.items())), _rounded(quantile(0.99, buckets.items()))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
