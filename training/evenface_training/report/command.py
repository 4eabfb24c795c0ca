"""The command `evenface-train report`: run folders in, one HTML page out."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from evenface_core.cli import add_overrides
from evenface_core.config import parse
from evenface_core.errors import ConfigError, TrainingError
from tqdm import tqdm

from evenface_training.config import TrainingConfig
from evenface_training.device import open_device
from evenface_training.files import write_atomically
from evenface_training.interrupt import terminable
from evenface_training.report.measuring import measure
from evenface_training.report.page import write_page
from evenface_training.report.reading import Run, read_runs
from evenface_training.report.tiles import tile_edge

_FILE = "report.html"


@terminable()
def report(arguments: Sequence[str]) -> None:
    """Write the page that the arguments ask for.

    Raises:
        EvenfaceError: A folder is no run, or the page cannot be written.
    """
    options = _parser().parse_args(arguments)
    out = _target(options)
    _require_data_keys(options.overrides)
    runs = read_runs(options.runs, options.overrides)
    device = _device(runs[0], options.device)
    edge = tile_edge(len(runs))
    measured = [measure(run, device, edge) for run in runs]
    for run, _, problems in measured:
        for problem in problems:
            tqdm.write(f"{run.name}: {problem}")
    write_atomically(out, write_page(measured).encode(errors="replace"))
    tqdm.write(f"done: {out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evenface-train report",
        description="Show what runs have learned on one HTML page that needs nothing else. It "
        "shows faces of the data set: treat it like the data.",
    )
    parser.add_argument("runs", type=Path, metavar="RUN", nargs="+", help="a run's folder")
    parser.add_argument(
        "--out", type=Path, help=f"file to write (default: RUN/{_FILE}; {_FILE} for several runs)"
    )
    parser.add_argument("--replace", action="store_true", help="replace the file if it exists")
    add_overrides(parser, "where data have moved to, as in: --set data.faces=photos")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    return parser


def _target(options: argparse.Namespace) -> Path:
    """The file to write, refused early if it must not be."""
    out: Path = options.out or (options.runs[0] / _FILE if len(options.runs) == 1 else Path(_FILE))
    if out.is_dir():
        raise TrainingError(f"{out}: a folder; --out names a file")
    if out.exists() and not options.replace:
        raise TrainingError(f"{out} exists; --replace replaces it")
    return out


def _require_data_keys(overrides: Sequence[str]) -> None:
    for override in overrides:
        if not override.startswith("data."):
            raise ConfigError(f"--set {override}: a report takes keys of data alone")


def _device(run: Run, name: str) -> torch.device:
    values = {**run.config.model_dump(), "device": name}
    device: torch.device = open_device(parse(TrainingConfig, values, source="--device")).device
    return device
