"""Weight real part files: bytes a row, and CPU seconds of each pass with all that Parquet costs.

`python -m benchmarks.scale.parts --rows 262144 --size 100`
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from evenface_batch.job import Job
from evenface_batch.output import Folder
from evenface_batch.parts import Rows
from evenface_batch.plan import InputFacts, ListingFacts, ModelFacts, Plan
from evenface_batch.scores import Scores
from evenface_batch.weighting import Weighting, weigh_on
from evenface_batch.weighting_store import JobStore

from benchmarks.scale.timed import TimedPool
from benchmarks.serving.places import ROOT
from benchmarks.serving.results import write_json

_PART = 2**16
_TOGETHER = 1024  # rows that are written at a time, as an engine writes them


def main() -> None:
    """Measure and write `scale-parts.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.parts")
    parser.add_argument("--rows", type=int, default=2**18)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = _measured(Path(folder), options.rows, options.size)
    write_json(options.out / "scale-parts.json", result)
    print(json.dumps(result, indent=1))


def _measured(folder: Path, rows: int, size: int) -> dict[str, Any]:
    cpu = time.process_time()
    job = _job(folder, rows, size)
    written = time.process_time() - cpu
    encoded = _bytes(folder)
    pool = TimedPool(None, 1)
    weigh_on(pool, JobStore(job), Weighting(min_effective_sample_size=0.5))
    by_pass: dict[str, list[float]] = {}
    for one in pool.passes:
        by_pass.setdefault(one["name"], []).append(one["cpu"])
    return {
        "rows": rows,
        "size": size,
        "dtype": "float16",
        "bytes_a_row": encoded / rows,
        "bytes_a_row_with_weights": _bytes(folder) / rows,
        "cpu_us_a_row_written_first": 1e6 * written / rows,
        "cpu_us_a_row": {name: 1e6 * sum(times) / rows for name, times in by_pass.items()},
        "looks_at_sums": len(by_pass["sums"]),
    }


def _job(folder: Path, rows: int, size: int) -> Job:
    facts = ModelFacts(name="made", version="1", digest="", latent_size=size, classifies=True)
    plan = Plan(
        input=InputFacts(urls=("made",), kind="images", column=None, id_column=None),
        model=facts,
        dtype="float16",
        chunk_size=_PART,
        listing=ListingFacts(digest="", chunks=-(-rows // _PART), items=rows),
    )
    job = Job(Folder(str(folder)), plan)
    plan.save(job.folder)
    generator = np.random.default_rng(0)
    for index in range(plan.listing.chunks):
        with job.output.part(index) as part:
            for start in range(index * _PART, min(rows, (index + 1) * _PART), _TOGETHER):
                count = min(_TOGETHER, rows - start)
                ids = [f"folder/image-{start + number:010}.jpg" for number in range(count)]
                some = Rows.empty(ids, [None] * count, plan.form)
                means = generator.standard_normal((count, size), np.float32)
                logits = generator.standard_normal(count, np.float32)
                some.fill(range(count), Scores(means, logits, [None] * count))
                part.write(some)
    return job


def _bytes(folder: Path) -> int:
    return sum(part.stat().st_size for part in (folder / "parts").iterdir())


if __name__ == "__main__":
    main()
