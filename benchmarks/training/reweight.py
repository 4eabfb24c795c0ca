"""Resampling weights of a million latents: evenface beside the lab's loop, each in its process.

`python -m benchmarks.training.reweight`; `--rows` and `--size` for other sizes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from evenface_core.resampling import weigh

from benchmarks.serving.places import ROOT
from benchmarks.serving.results import write_json
from benchmarks.training.lab_loop import sample_probabilities
from benchmarks.training.machine import describe

_WAYS = ("lab", "evenface")


def main() -> None:
    """Measure both in turns and write `reweight.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.reweight")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--way", choices=_WAYS, help="one alone, as JSON on standard output")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(_measure(options.way, options.rows, options.size)))
        return
    rounds = [
        {way: _elsewhere(way, options.rows, options.size) for way in _WAYS}
        for _ in range(options.rounds)
    ]
    ratios = {
        name: sorted(each["lab"][name] / each["evenface"][name] for each in rounds)
        for name in ("cpu", "wall", "added_bytes")
    }
    result = {"rows": options.rows, "size": options.size, "ratios": ratios, "rounds": rounds}
    write_json(options.out / "reweight.json", {"machine": describe(), **result})
    print(json.dumps(result, indent=1))


def _elsewhere(way: str, rows: int, size: int) -> dict[str, float]:
    command = (sys.executable, "-m", "benchmarks.training.reweight", "--way", way)
    sizes = ("--rows", str(rows), "--size", str(size))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run((*command, *sizes), cwd=ROOT, env=env, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(way: str, rows: int, size: int) -> dict[str, float]:
    """CPU and wall seconds, and bytes that it needed at most beside the latents."""
    generator = np.random.default_rng(0)
    latents = generator.standard_normal((rows, size), dtype=np.float32)
    theirs = latents.astype(np.float64) if way == "lab" else None  # the lab keeps float64
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    weights = sample_probabilities(theirs) if theirs is not None else weigh(latents)[1].values
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    added = 1024 * (after - before)
    return {"cpu": cpu, "wall": wall, "added_bytes": added, "largest": float(weights.max())}


if __name__ == "__main__":
    main()
