"""The benchmark's command: `python -m benchmarks.batch`."""

import argparse
import importlib.metadata
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from evenface_core.cli import guarded
from evenface_core.errors import JobError
from tqdm import tqdm

from benchmarks.batch.measure import Figures, measure
from benchmarks.batch.report import write
from benchmarks.batch.subject import KINDS
from benchmarks.serving.places import ROOT
from benchmarks.serving.processes import ServerFailed, cores
from benchmarks.serving.workloads import PORTRAIT, jpeg

_PACKAGES = ("numpy", "onnxruntime", "pillow", "pyarrow", "ray", "grpcio")


def main() -> int:
    """Run the benchmark and return the exit code."""
    options = _parser().parse_args()
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (5)")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[2**power for power in range(cores().bit_length())],
        help="default: 1 2 4 … up to the cores",
    )
    parser.add_argument("--chunk", type=int, default=128, help="images in a chunk (128)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    rounds: list[dict[tuple[str, int], Figures]] = []
    text, data = "", jpeg(*PORTRAIT)
    command = shlex.join(["python", "-m", "benchmarks.batch", *sys.argv[1:]])
    width, height = PORTRAIT
    about = (
        f"`{command}`; JPEG files of {width}×{height} pixels and {len(data):,} bytes, encoded and "
        "classified by models/faces/1; grpc: a server with as many workers on the same cores, and "
        "two requests in flight for each"
    )
    with tempfile.TemporaryDirectory(prefix="evenface-bench-") as scratch:
        folder = Path(scratch)
        for number in range(options.chunk):
            (folder / f"{number:05}.jpg").write_bytes(data)
        with tqdm(total=options.rounds * len(options.workers) * len(KINDS)) as bar:
            for _ in range(options.rounds):
                rounds.append(_round(folder, options, bar))
                text = write(options.out, rounds, _machine(), about)  # if it is interrupted later
    tqdm.write(text)


def _round(
    folder: Path, options: argparse.Namespace, bar: "tqdm[NoReturn]"
) -> dict[tuple[str, int], Figures]:
    found = {}
    for workers in options.workers:
        for kind in KINDS:
            bar.set_postfix_str(f"{kind}, {workers}")
            found[kind, workers] = _measured(kind, workers, folder, options)
            bar.update()
    return found


def _measured(kind: str, workers: int, folder: Path, options: argparse.Namespace) -> Figures:
    try:
        return measure(kind, workers, folder, options.seconds)
    except ServerFailed as error:
        raise JobError(f"{kind}, {workers} workers: {error}") from error


def _machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
