"""What several processes have counted, added up and shown to Prometheus. Transport-free."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from evenface_server.drift import Drift
from evenface_server.instruments import Changes, Family, Instruments, Labels

_Values = dict[Labels, Sequence[float]]


class Totals(Collector):
    """Adds up changes. What was counted stays when its process is gone; gauges go with it.

    Args:
        instruments: Define the metrics; their own values do not matter.

    Attributes:
        drift: Of the latents that all of them have served.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.drift: Final = Drift()
        self._families = instruments.families
        self._gauges = {f.name for f in self._families if f.kind == "gauge"}
        self._counted: dict[str, _Values] = {f.name: {} for f in self._families}
        self._shown: dict[object, dict[str, _Values]] = {}
        self._lock = threading.Lock()  # metrics are asked for by another thread

    def add(self, source: object, changes: Changes) -> None:
        """Add what a process has counted.

        Args:
            source: The process.
            changes: As `Instruments.take` returned them there.
        """
        with self._lock:
            for name, series in changes.items():
                for labels, change in series:
                    if name in self._gauges:
                        self._show(source, name, tuple(labels), change)
                    else:
                        self._count(self._counted[name], tuple(labels), change)

    def forget(self, source: object) -> None:
        """A process is gone."""
        with self._lock:
            self._shown.pop(source, None)

    def collect(self) -> Iterator[Metric]:
        """All metrics, for Prometheus."""
        with self._lock:
            found = [self._metric(family) for family in self._families]
        yield from found
        yield from self.drift.collect()

    def _metric(self, family: Family[Any]) -> Metric:
        counted = self._counted[family.name]
        about = (family.name, family.text, None, family.label_names)
        if family.kind == "counter":
            counter = CounterMetricFamily(*about)
            for labels, (value,) in counted.items():
                counter.add_metric(labels, value)
            return counter
        if family.kind == "gauge":
            gauge = GaugeMetricFamily(*about)
            for labels, values in self._values_of(family.name).items():
                gauge.add_metric(labels, family.across(values))
            return gauge
        histogram = HistogramMetricFamily(family.name, family.text, labels=family.label_names)
        bounds = [str(float(bound)) for bound in family.bounds] + ["+Inf"]
        for labels, (total, *counts) in counted.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            histogram.add_metric(labels, buckets, total)
        return histogram

    def _show(self, source: object, name: str, labels: Labels, change: Sequence[float]) -> None:
        values = self._shown.setdefault(source, {}).setdefault(name, {})
        if change:
            values[labels] = change
        else:
            values.pop(labels, None)

    def _count(self, values: _Values, labels: Labels, change: Sequence[float]) -> None:
        before = values.get(labels)
        if before is None:
            values[labels] = change
        elif change:
            values[labels] = [a + b for a, b in zip(before, change, strict=True)]

    def _values_of(self, gauge: str) -> Mapping[Labels, list[float]]:
        """The values of a gauge in all processes."""
        found: dict[Labels, list[float]] = {}
        for shown in self._shown.values():
            for labels, change in shown.get(gauge, {}).items():
                found.setdefault(labels, []).extend(change)
        return found
