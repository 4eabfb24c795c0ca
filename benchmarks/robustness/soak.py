"""Keeps a server busy for long and watches what it holds: `python -m benchmarks.robustness.soak`.

Callers do all kinds of things at a share of what the server and they together manage on this
machine; some cancel, hang up or send half a request. Flat memory and no status that nobody asked
for are what is looked for.
"""

import argparse
import asyncio
import itertools
import json
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from evenface_core.cli import guarded

from benchmarks.robustness.server import memory, serving, tree
from benchmarks.robustness.traffic import Traffic
from benchmarks.serving.machine import describe
from benchmarks.serving.places import ROOT

mpl.use("Agg")
from matplotlib import pyplot as plt

_RESULTS = ROOT / "benchmarks" / "results"
_CONNECTIONS, _CALLERS = 16, 32
_MEASURE_SECONDS, _SAMPLE_SECONDS, _WARM_UP = 10.0, 5.0, 0.25
_LEAVE_SECONDS, _LOOK_SECONDS = 10.0, 0.2
_MOST_AT_WORK = 2000
_MIB = 2**20


@dataclass(frozen=True)
class Seen:
    """What callers have seen up to one moment.

    Attributes:
        calls: Made so far.
        waiting: Those that had not ended, at most since the sample before.
        refused: Those that ended for want of room.
    """

    calls: int
    waiting: int
    refused: int


@dataclass(frozen=True)
class Sample(Seen):
    """What was seen at one moment, by callers and on the server.

    Attributes:
        seconds: Since the start.
        memory: Bytes of all processes, shared ones divided (PSS).
        threads: Of all processes.
        files: Open descriptors of all processes.
        rows: Images that wait for an answer, as the server counts them.
        held: Bytes of calls that are not answered, as the server counts them.
    """

    seconds: float
    memory: int
    threads: int
    files: int
    rows: float
    held: float


def main() -> int:
    """Run the soak and write JSON and a plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.soak")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--load", type=float, default=0.8, help="share of capacity")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return guarded(lambda: asyncio.run(_soak(options)))


async def _soak(options: argparse.Namespace) -> None:
    with serving("--models", str(options.models)) as (server, facts):
        traffic = Traffic(str(facts["address"]), _CONNECTIONS, options.seed)
        rate = options.load * await _capacity(traffic)
        print(f"{rate:.0f} calls/s are {options.load:.0%} of capacity", flush=True)
        metrics = str(facts["metrics_address"])
        samples = await _load(traffic, rate, 60 * options.minutes, server.pid, metrics)
        await traffic.close()
        left = await _left(metrics)
    _write(options, rate, traffic, samples, left, server.returncode)


async def _capacity(traffic: Traffic) -> float:
    """Calls per second that callers get through who call again at once."""
    count, end = 0, time.monotonic() + _MEASURE_SECONDS

    async def call() -> None:
        nonlocal count
        while time.monotonic() < end:
            await traffic.one()
            count += 1

    await asyncio.gather(*(call() for _ in range(_CALLERS)))
    return count / _MEASURE_SECONDS


async def _load(
    traffic: Traffic, rate: float, seconds: float, pid: int, metrics: str
) -> list[Sample]:
    start = time.monotonic()
    samples: list[Sample] = []
    at_work: set[asyncio.Task[None]] = set()
    due = calls = waiting = 0
    while (now := time.monotonic() - start) < seconds:
        while due < int(now * rate):
            due += 1
            if len(at_work) >= _MOST_AT_WORK:  # the machine is slower now: nothing is made up for
                continue
            calls += 1
            task = asyncio.create_task(traffic.one())
            at_work.add(task)
            task.add_done_callback(at_work.discard)
        waiting = max(waiting, len(at_work))
        if now >= len(samples) * _SAMPLE_SECONDS:
            seen = Seen(calls, waiting, traffic.outcomes["RESOURCE_EXHAUSTED"])
            waiting = 0
            samples.append(await asyncio.to_thread(_sample, pid, metrics, now, seen))
        await asyncio.sleep(0.002)
    await asyncio.gather(*at_work)
    return samples


def _sample(pid: int, metrics: str, now: float, seen: Seen) -> Sample:
    threads = files = 0
    for process in tree(pid):
        folder = Path("/proc", str(process))
        try:
            threads += len(list((folder / "task").iterdir()))
            files += len(list((folder / "fd").iterdir()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    says = _scrape(metrics)
    rows, held = (
        sum(value for name, value in says.items() if name.startswith(prefix))
        for prefix in ("evenface_queue_rows", "evenface_held_bytes")
    )
    return Sample(
        **asdict(seen), seconds=round(now, 1), memory=memory(pid), threads=threads, files=files,
        rows=rows, held=held,
    )  # fmt: skip


async def _left(address: str) -> dict[str, float]:
    """What the server still holds once all callers have left; it gets some seconds for that."""
    end = time.monotonic() + _LEAVE_SECONDS
    while any((left := _scrape(address)).values()) and time.monotonic() < end:  # noqa: ASYNC110 - of other processes
        await asyncio.sleep(_LOOK_SECONDS)
    return left


def _scrape(address: str) -> dict[str, float]:
    """What the server says it still holds."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    wanted = ("evenface_queue_rows", "evenface_held_bytes", "evenface_worker_connections")
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(wanted))
    return {name: float(value) for name, value in pairs}


def _write(
    options: argparse.Namespace,
    rate: float,
    traffic: Traffic,
    samples: list[Sample],
    left: dict[str, float],
    code: int,
) -> None:
    steady = samples[int(_WARM_UP * len(samples)) :]
    slope = _slope(steady)
    result = {
        "command": f"python -m benchmarks.robustness.soak --minutes {options.minutes:g} "
        f"--load {options.load:g} --seed {options.seed}",
        "machine": describe(()),
        "calls_per_second": round(rate, 1),
        "calls": samples[-1].calls,
        "outcomes": dict(Counter(traffic.outcomes).most_common()),
        "unasked_for": dict(traffic.problems.most_common()),
        "memory_mib": {
            "first_steady": round(steady[0].memory / _MIB, 1),
            "last": round(steady[-1].memory / _MIB, 1),
            "highest": round(max(s.memory for s in samples) / _MIB, 1),
            "mib_per_hour_once_steady": round(slope, 2),
        },
        "left_at_the_end": left,
        "exit_code": code,
        "samples": [asdict(sample) for sample in samples],
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    (_RESULTS / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    _plot(samples, _RESULTS / "soak.png")
    print(
        json.dumps({k: v for k, v in result.items() if k not in ("samples", "machine")}, indent=1)
    )


def _slope(samples: list[Sample]) -> float:
    """MiB per hour of the straight line through the samples."""
    seconds = np.array([s.seconds for s in samples])
    memory = np.array([s.memory for s in samples]) / _MIB
    return float(np.polyfit(seconds / 3600, memory, 1)[0]) if len(samples) > 1 else 0.0


def _rates(samples: list[Sample]) -> list[float]:
    """Refusals per second between samples."""
    return [
        (b.refused - a.refused) / (b.seconds - a.seconds) for a, b in itertools.pairwise(samples)
    ]


def _plot(samples: list[Sample], path: Path) -> None:
    lines = {
        "memory (PSS), MiB": [s.memory / _MIB for s in samples],
        "held for calls, MiB": [s.held / _MIB for s in samples],
        "calls waiting, at most": [float(s.waiting) for s in samples],
        "refused, a second": [0.0, *_rates(samples)],
        "open files": [float(s.files) for s in samples],
        "threads": [float(s.threads) for s in samples],
    }
    minutes = [s.seconds / 60 for s in samples]
    figure, axes = plt.subplots(len(lines), figsize=(8, 11), sharex=True, layout="constrained")
    for axis, (name, values) in zip(axes, lines.items(), strict=True):
        axis.plot(minutes, values)
        axis.set_ylim(0, 1.1 * max(*values, 1.0))
        axis.set_ylabel(name, fontsize="small")
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes")
    figure.suptitle(f"{samples[-1].calls:,} calls, all processes of the server")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    raise SystemExit(main())
