"""The benchmark's command: `python -m benchmarks.runtime`."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.cli import guarded
from evenface_core.manifest import FUNCTIONS, FunctionName
from evenface_runtime.device import Device, choose_device
from evenface_runtime.runners import Runner
from tqdm import tqdm

from benchmarks.runtime.inputs import Array, inputs_of
from benchmarks.runtime.plots import plot
from benchmarks.runtime.report import Subject, as_json, describe_machine, write_report
from benchmarks.runtime.timing import Timing, time_in_turn
from benchmarks.runtime.together import Job, Joint, run_together
from benchmarks.runtime.variants import TOGETHER, VARIANTS, open_variant
from benchmarks.serving.graph import ensure_bundle
from benchmarks.serving.places import MODELS

_ROOT = Path(__file__).parents[2]
_CHECKED_ROWS = 7


def main() -> int:
    """Run the benchmark and return the exit code: 0, 2 after an error, 130 after Ctrl-C."""
    options = _parser().parse_args()
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtime", description=__doc__)
    parser.add_argument("--device", choices=get_args(Device), default="cpu", help="default: cpu")
    parser.add_argument(
        "--bundle",
        type=Path,
        action="append",
        default=[],
        help="folder of a bundle; may be given more than once (default: models/faces/1)",
    )
    parser.add_argument(
        "--lab",
        action="store_true",
        help="measure the lab's DB-VAE with random weights, in fp32 and fp16, too; made with torch",
    )
    parser.add_argument(
        "--functions", nargs="+", choices=FUNCTIONS, default=FUNCTIONS, help="default: all"
    )
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[2**power for power in range(11)],
        help="images in a call (default: 1 2 4 … 1024)",
    )
    parser.add_argument(
        "--rows-together",
        type=int,
        nargs="*",
        default=[1, 64, 1024],
        help="images in a call where several processes run (default: 1 64 1024)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn (default: 0.1)")
    parser.add_argument(
        "--out", type=Path, default=_ROOT / "benchmarks" / "results", help="folder of the results"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    folders = [*options.bundle] or [_ROOT / "models" / "faces" / "1"]
    if options.lab:
        root = _ROOT / MODELS
        folders += [ensure_bundle(root, "lab"), ensure_bundle(root, "lab", "fp16")]
    subjects = [subject for folder in folders for subject in _subjects(folder, device, options)]
    machine = describe_machine(device)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"runtime-{device}"
    command = shlex.join(["python", "-m", "benchmarks.runtime", *sys.argv[1:]])
    report = write_report(machine, subjects, command)
    path.with_suffix(".md").write_text(report, encoding="utf-8")
    values = {"command": command, **as_json(machine, subjects)}
    path.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    caption = str(machine["gpu"] or machine["cpu"])
    plot(path.with_suffix(".png"), subjects, caption, by_cpu=device == "cpu")
    tqdm.write(report)
    tqdm.write(f"done: {path}.md, .json, .png")


def _subjects(folder: Path, device: Device, options: argparse.Namespace) -> Iterator[Subject]:
    bundle = open_bundle(folder)
    for function in (each for each in options.functions if each in bundle.manifest.functions):
        name = f"{bundle.manifest.name}/{bundle.manifest.version}"
        tqdm.write(f"{name} {function} on {device}", file=sys.stderr)
        runners = {
            variant.name: open_variant(bundle, function, device, variant, max(options.rows))
            for variant in VARIANTS[device]
        }
        timings = _times(bundle, function, runners, options)
        off = _differences(bundle, function, runners)
        del runners  # their memory is wanted by the processes
        joint = list(_together(folder, function, device, options))
        yield Subject(name, function, timings, off, joint)


def _times(
    bundle: Bundle,
    function: FunctionName,
    runners: dict[str, Runner],
    options: argparse.Namespace,
) -> dict[str, list[Timing]]:
    timings: dict[str, list[Timing]] = {name: [] for name in runners}
    for rows in tqdm(options.rows, unit="size", leave=False):
        inputs = inputs_of(bundle.manifest, function, rows)
        ways = {name: partial(runner.run, inputs) for name, runner in runners.items()}
        found = time_in_turn(ways, rows, rounds=options.rounds, seconds=options.seconds)
        for name, timing in found.items():
            timings[name].append(timing)
    return timings


def _differences(
    bundle: Bundle, function: FunctionName, runners: dict[str, Runner]
) -> dict[str, float]:
    inputs = inputs_of(bundle.manifest, function, _CHECKED_ROWS)
    right = open_variant(bundle, function, "cpu", VARIANTS["cpu"][0], _CHECKED_ROWS).run(inputs)
    return {name: _difference(runner.run(inputs), right) for name, runner in runners.items()}


def _difference(found: tuple[Array, ...], right: tuple[Array, ...]) -> float:
    pairs = zip(found, right, strict=True)
    return max(float(np.abs(a.astype(float) - b.astype(float)).max()) for a, b in pairs)


def _together(
    folder: Path, function: FunctionName, device: Device, options: argparse.Namespace
) -> Iterator[Joint]:
    cores = len(os.sched_getaffinity(0))
    seconds = options.rounds * options.seconds
    for rows in tqdm(options.rows_together, unit="size", leave=False):
        for variant, wanted in TOGETHER[device]:
            processes = wanted or cores
            if processes <= cores:
                job = Job(folder, function, device, variant, rows)
                yield run_together(job, processes, seconds)


if __name__ == "__main__":
    raise SystemExit(main())
