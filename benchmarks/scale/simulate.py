"""Weight latents that are made on the way: seconds, CPU seconds and memory of each pass.

    python -m benchmarks.scale.simulate --rows 100000000 --size 100
    python -m benchmarks.scale.simulate --rows 100000000 --size 8 --whole

`--whole` weights the same latents in one array too, and compares to the last bit. A run that was
killed goes on with the same command; the seconds are then those of what was left.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from evenface_batch.weighting import Summary, Weighting, weigh_on
from evenface_batch.weighting_store import Reading
from evenface_core import resampling

from benchmarks.scale.made import MadeStore
from benchmarks.scale.timed import TimedPool, peak_bytes
from benchmarks.serving.places import ROOT
from benchmarks.serving.results import write_json


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.simulate")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=8, help="of 2^15 rows in a unit")
    parser.add_argument("--rule", default="lab")
    parser.add_argument("--min-ess", type=float, default=0.5)
    parser.add_argument("--whole", action="store_true", help="weight them in one array too")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for scores and weights")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    store = MadeStore(str(options.scratch), options.rows, options.size, options.chunks)
    weighting = Weighting(options.rule, min_effective_sample_size=options.min_ess)
    result = _simulated(store, weighting)
    if options.whole:
        result |= _whole(store, weighting, result["weights"])
    from benchmarks.training.machine import describe  # noqa: PLC0415 - torch, which takes memory

    name = f"scale-{options.rule}-{options.rows:.0e}x{options.size}-{options.chunks}.json"
    write_json(options.out / name.replace("+0", ""), {"machine": describe(), **result})
    print(json.dumps(result, indent=1))


def _simulated(store: MadeStore, weighting: Weighting) -> dict[str, Any]:
    pool, before = TimedPool(None, 1), peak_bytes()
    made = _seconds_of_making(store)
    wall = time.perf_counter()
    summary: Summary = weigh_on(pool, store, weighting)
    wall = time.perf_counter() - wall
    return {
        "rows": store.rows,
        "size": store.size,
        "rows_of_a_unit": store.chunks * 2**15,
        "rule": summary.rule,
        "bytes_as_float16": 2 * store.rows * store.size,
        "passes": pool.passes,
        "making_the_latents_once_cpu": made,
        "wall": round(wall, 1),
        "peak_bytes": peak_bytes(),
        "peak_bytes_before": before,
        "temper": summary.temper,
        "log_total": summary.log_total,
        "effective_sample_size": summary.effective_sample_size,
        "weights": store.digest(),
    }


def _seconds_of_making(store: MadeStore) -> float:
    """CPU seconds that making all latents takes, of which every pass over them has a share."""
    tried = store.units()[: max(1, len(store.units()) // 100)]
    cpu = time.process_time()
    rows = sum(
        len(block.values) for unit in tried for block in store.blocks(unit, Reading("latents", 0))
    )
    return round((time.process_time() - cpu) * store.rows / rows, 1)


def _whole(store: MadeStore, weighting: Weighting, digest: str) -> dict[str, Any]:
    """Compare with the weights of one array."""
    chunks = [chunk for unit in store.units() for chunk in unit]
    latents = np.empty((store.rows, store.size), np.float16)
    for chunk in chunks:
        rows = store.latents(chunk)
        latents[chunk * 2**15 : chunk * 2**15 + len(rows)] = rows
    _, weights = resampling.weigh(
        latents,
        rule=weighting.rule,
        min_effective_sample_size=weighting.min_effective_sample_size,
    )
    same = hashlib.sha256(weights.values.tobytes()).hexdigest() == digest
    return {
        "same_as_one_array_to_the_last_bit": same,
        "sum_of_weights_less_1": float(weights.values.sum() - 1),
        "peak_bytes_of_one_array": peak_bytes(),
    }


if __name__ == "__main__":
    main()
