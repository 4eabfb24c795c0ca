"""A million rows in the studio's tab Dataset: CPU time beside pyarrow's own, and memory.

    python -m benchmarks.studio.rows --rows 1000000 --rounds 5

The rows are those of a job, in parts of 1,024 as `evenface-batch` writes them. Each round takes
every measure once, so that what else the machine does meets them alike; medians are told, and the
time of the yardstick, pyarrow.dataset reading the same columns of the same files, is 1.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from evenface_core.weights import WEIGHTING_MARK
from evenface_studio.dataset import table as tables
from evenface_studio.dataset.export import Form, export
from evenface_studio.dataset.parquet import ParquetRows, open_rows
from evenface_studio.dataset.table import Filter, Table

PART = 1024
PAGE = 60
MEBIBYTE = 1024  # ru_maxrss is in KiB


def write_job(folder: Path, rows: int) -> None:
    """Write parts as a job has them, a hundredth of their rows with an error."""
    generator = np.random.default_rng(0)
    for number, start in enumerate(range(0, rows, PART)):
        size = min(PART, rows - start)
        failed = generator.random(size) < 0.01
        columns = {
            "id": pa.array([f"photos/{start + row:09}.jpg" for row in range(size)]),
            "probability": pa.array(generator.random(size, np.float32), mask=failed),
            "weight": pa.array(generator.exponential(size=size) / rows, mask=failed),
            "error": pa.array(["missing: no such file" if bad else None for bad in failed]),
        }
        table = pa.table(columns, metadata={WEIGHTING_MARK: b"run"})
        pq.write_table(table, folder / f"part-{number:09}.parquet", compression="zstd")


def measures(folder: Path, rows: ParquetRows, table: Table) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    everything = Filter()
    some = Filter(probability=(0.2, 0.9), quantile=(0.5, 1.0))
    order = tables.ordered(table, tables.chosen(table, everything), "rarest")
    mask = tables.chosen(table, everything)

    def look() -> None:
        chosen = tables.chosen(table, some)
        tables.ordered(table, chosen, "rarest")
        tables.summarise(table, chosen)

    def write(form: Form) -> int:
        return sum(map(len, export(rows, table.weights, mask, b"run", form)))

    columns = ["weight", "probability", "error"]
    return {
        "yardstick": lambda: ds.dataset(folder / "parts").to_table(columns),
        "open": lambda: open_rows(folder),
        "filter, order and sums": look,
        "first page": lambda: rows.cells(order[:PAGE]),
        "last page": lambda: rows.cells(order[-PAGE:]),
        "text in the id": lambda: rows.containing("00042"),
        "export as Parquet": lambda: write("parquet"),
        "export as CSV": lambda: write("csv"),
    }


def cpu_time(work: Callable[[], Any]) -> float:
    """Seconds of all cores that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(folder: Path, rounds: int) -> None:
    """Measure, and print."""
    open_rows(folder)  # the first time imports and allocates
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, table = open_rows(folder)
    timed = measures(folder, rows, table)
    for name, work in timed.items():
        if name != "yardstick":
            work()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    held = table.weights.nbytes + table.probabilities.nbytes + table.failed.nbytes
    print(f"{len(table):,} rows in {len(rows.pieces):,} row groups, {held / 2**20:.1f} MiB held")
    print(f"memory: at most {grown / MEBIBYTE:.0f} MiB above that of opening alone")
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, work in timed.items():
            taken[name].append(cpu_time(work))
    yardstick = statistics.median(taken["yardstick"])
    for name, times in taken.items():
        print(f"{name}: {statistics.median(times) / yardstick:.2f}")


def main() -> None:
    """Write a job and measure it."""
    parser = argparse.ArgumentParser(description="The tab Dataset with many rows.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "parts").mkdir()
        write_job(Path(name) / "parts", options.rows)
        measure(Path(name), options.rounds)


if __name__ == "__main__":
    main()
