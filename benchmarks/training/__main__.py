"""`python -m benchmarks.training`: the loops beside each other, or an epoch on a GPU."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.serving.places import ROOT
from benchmarks.training import epoch
from benchmarks.training.compare import Subject, compare
from benchmarks.training.machine import describe
from benchmarks.training.report import write


def main() -> None:
    """Measure what the arguments say and write it down."""
    options = _parser().parse_args()
    if options.device != "cpu":
        epoch.measure(options.device, options.images, options.batch, options.out)
        return
    source = f"{{kind: synthetic, faces: {options.faces}, nonfaces: {options.faces}}}"
    runs: dict[int, list[Subject]] = {}
    for threads in options.threads:
        with TemporaryDirectory() as scratch:
            runs[threads] = compare(source, threads, options.turns, Path(scratch))
    write(options.out, runs, 2 * options.faces, describe())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu compares loops; cuda times an epoch")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of each loop")
    parser.add_argument("--turns", type=int, default=8, help="epochs of each loop")
    parser.add_argument("--faces", type=int, default=1500, help="and as many non-faces, drawn")
    parser.add_argument("--images", type=int, default=202_599, help="of the epoch on a GPU")
    parser.add_argument("--batch", type=int, default=1024, help="images of a step on a GPU")
    return parser


if __name__ == "__main__":
    main()
