"""What counting costs a call: plain numbers against prometheus_client, alone and with its files.

`python benchmarks/engine/instruments.py` prints CPU time of a call's metrics and the ratios. The
three are measured in turn, each in a process of its own, and the least of all rounds counts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LABELS = ("service", "method", "kind")
COUNTERS, GAUGES, HISTOGRAMS = 5, 2, 2  # that a call of one image changes
CALLS = 5_000
KINDS = {
    "plain numbers (evenface_server.instruments)": "ours",
    "prometheus_client, one process": "prometheus",
    "prometheus_client, files for several processes": "files",
}


def ours() -> tuple[list[Any], list[Any], list[Any]]:
    """Make the instruments of this server."""
    from evenface_server.instruments import Instruments  # noqa: PLC0415 - one kind a process

    made = Instruments()
    return (
        [made.counter(f"c{n}", "c", *LABELS).labels(*LABELS) for n in range(COUNTERS)],
        [made.gauge(f"g{n}", "g", *LABELS).labels(*LABELS) for n in range(GAUGES)],
        [made.histogram(f"h{n}", "h", BOUNDS, *LABELS).labels(*LABELS) for n in range(HISTOGRAMS)],
    )


def prometheus() -> tuple[list[Any], list[Any], list[Any]]:
    """Make those of prometheus_client, of the kind that the environment asks for."""
    from prometheus_client import (  # noqa: PLC0415 - its environment must be there first
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
    )

    at: dict[str, Any] = {"registry": CollectorRegistry()}
    return (
        [Counter(f"c{n}", "c", LABELS, **at).labels(*LABELS) for n in range(COUNTERS)],
        [Gauge(f"g{n}", "g", LABELS, **at).labels(*LABELS) for n in range(GAUGES)],
        [
            Histogram(f"h{n}", "h", LABELS, buckets=BOUNDS, **at).labels(*LABELS)
            for n in range(HISTOGRAMS)
        ],
    )


def measure(make: Callable[[], tuple[list[Any], list[Any], list[Any]]]) -> float:
    """Seconds of CPU that a call's metrics take."""
    counters, gauges, histograms = make()
    started = time.process_time()
    for _ in range(CALLS):
        for counter in counters:
            counter.inc()
        for gauge in gauges:
            gauge.set(1.0)
        for histogram in histograms:
            histogram.observe(0.004)
    return (time.process_time() - started) / CALLS


def in_process(kind: str) -> float:
    """Measure a kind in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {"PROMETHEUS_MULTIPROC_DIR": folder} if kind == "files" else {}
        done = subprocess.run(
            [sys.executable, __file__, "--kind", kind],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def main() -> None:
    """Measure all kinds in turn, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kind", choices=KINDS.values(), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.kind:
        make = ours if given.kind == "ours" else prometheus
        print(min(measure(make) for _ in range(5)))
        return
    rounds = [{name: in_process(kind) for name, kind in KINDS.items()} for _ in range(given.rounds)]
    best = {name: min(one[name] for one in rounds) for name in KINDS}
    alone = best["prometheus_client, one process"]
    for name, seconds in best.items():
        print(f"{name:48} {1e6 * seconds:6.2f} us {seconds / alone:6.2f} x")


if __name__ == "__main__":
    main()
