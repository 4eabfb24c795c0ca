"""Times several ways of doing the same, in turn, so that none has a quieter machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Timing:
    """How fast something was.

    Attributes:
        rows: Images or latents in a call.
        images_per_second: Median of the rounds.
        p50: Milliseconds of a call.
        p99: Likewise.
        cpu: CPU µs of the process for an image, median of the rounds.
        ratio: Images per second over the first way's in the same round, median.
        cpu_ratio: CPU of the first way over this one's in the same round, median: what more one
            gets from a CPU that others use as well.
    """

    rows: int
    images_per_second: float
    p50: float
    p99: float
    cpu: float
    ratio: float
    cpu_ratio: float


@dataclass
class _Record:
    """What was measured: a rate and a CPU time for each round, a duration for each call."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


def time_in_turn(
    ways: Mapping[str, Callable[[], object]], rows: int, *, rounds: int, seconds: float
) -> dict[str, Timing]:
    """Measure ways of doing the same.

    Args:
        ways: By name; the first is what the others are compared with.
        rows: Images or latents that each call does.
        rounds: How often each has its turn; who begins changes.
        seconds: Of each turn.
    """
    for run in ways.values():
        for _ in range(_WARM_UP_CALLS):
            run()
    records = {name: _Record() for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            _measure(ways[name], rows, seconds, records[name])
    base = records[names[0]]
    return {name: _summarise(record, base, rows) for name, record in records.items()}


def _measure(run: Callable[[], object], rows: int, seconds: float, record: _Record) -> None:
    durations = []
    cpu, start = time.process_time(), time.perf_counter()
    now = start
    while now < start + seconds:
        run()
        before, now = now, time.perf_counter()
        durations.append(now - before)
    done = rows * len(durations)
    record.rates.append(done / (now - start))
    record.cpu.append((time.process_time() - cpu) / done)
    record.calls += durations


def _summarise(record: _Record, base: _Record, rows: int) -> Timing:
    calls = sorted(record.calls)
    pairs = zip(record.rates, base.rates, strict=True)
    cpu_pairs = zip(record.cpu, base.cpu, strict=True)
    return Timing(
        rows=rows,
        images_per_second=statistics.median(record.rates),
        p50=1e3 * statistics.median(calls),
        p99=1e3 * calls[min(len(calls) - 1, int(0.99 * len(calls)))],
        cpu=1e6 * statistics.median(record.cpu),
        ratio=statistics.median(ours / theirs for ours, theirs in pairs),
        cpu_ratio=statistics.median(theirs / ours for ours, theirs in cpu_pairs),
    )
