"""The command `evenface-export`: a run in, a bundle out."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from evenface_core.bundle import open_bundle
from evenface_core.cli import guarded
from evenface_core.manifest import Manifest
from evenface_training.interrupt import terminable
from tqdm import tqdm

from evenface_export.export import ExportRequest, export_bundle
from evenface_export.graphs import Precision


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 after an error, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    if options.attributes is not None:
        options.attributes = tuple(options.attributes)
    return guarded(lambda: _export(ExportRequest(**vars(options))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evenface-export",
        description="Turn a trained model into a bundle: ONNX graphs checked against torch, "
        "figures measured on the run's own held-out images, and a model card.",
    )
    parser.add_argument(
        "source", type=Path, metavar="RUN", help="a run's folder (its best checkpoint), or a file"
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="default: models")
    parser.add_argument("--name", default="faces", help="the model's name (default: faces)")
    parser.add_argument("--version", default="1", help="the model's version (default: 1)")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="of the graphs; fp16 is for GPUs, a CPU gains nothing by it (default: fp32)",
    )
    parser.add_argument("--replace", action="store_true", help="replace an existing version")
    parser.add_argument("--data-note", default="", help="for the card: what the images are")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw what the model does")
    parser.add_argument(
        "--attributes",
        nargs="*",
        metavar="COLUMN",
        help="label columns that become attribute vectors (default: the run's data.group_columns)",
    )
    parser.add_argument(
        "--colorizer", type=Path, metavar="RUN", help="run of kind colorizer, for grey images"
    )
    parser.add_argument(
        "--features",
        type=Path,
        metavar="ONNX",
        help="network for the Fréchet distance of samples (default: a small one of random weights)",
    )
    parser.add_argument(
        "--max-false-positives",
        type=float,
        metavar="SHARE",
        help="of the held-out non-faces that may pass the decision threshold, such as 0.01 "
        "(default: the threshold near 0.5 with the best balanced accuracy)",
    )
    moved = parser.add_argument_group("data, where it is no longer where the run found it")
    for name in ("faces", "nonfaces", "labels", "cache"):
        moved.add_argument(f"--{name}", type=Path)
    return parser


@terminable()
def _export(request: ExportRequest) -> None:
    folder = export_bundle(request)
    tqdm.write(_summary(open_bundle(folder).manifest))
    if request.pictures is not None:
        tqdm.write(f"pictures: {request.pictures}")
    tqdm.write(f"done: {folder}")


def _summary(manifest: Manifest) -> str:
    width = max(map(len, manifest.quality))
    figures = (f"{name:<{width}}  {value:.6g}" for name, value in manifest.quality.items())
    return "\n".join([*figures, f"{'decision_threshold':<{width}}  {manifest.decision_threshold}"])
