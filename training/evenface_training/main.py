"""The command `evenface-train`: a configuration in, a run folder out; or run folders, a report."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from evenface_core.cli import add_overrides, guarded
from evenface_core.config import parse
from evenface_core.errors import ConfigError
from lightning_fabric import Fabric
from tqdm import tqdm

from evenface_training.checkpoint import load_checkpoint
from evenface_training.config import TrainingConfig, load_config, ready_made
from evenface_training.data import TrainingData, load_data
from evenface_training.device import is_first_process, open_device
from evenface_training.interrupt import StopRequest, terminable
from evenface_training.loop import Trainer
from evenface_training.ranks import together
from evenface_training.report.command import report
from evenface_training.run_folder import Onlooker, RunFolder, default_path

_ECHO = 5.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 after an error, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Fabric announces the precision; the run folder's config.yaml already says it.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if given[:1] == ["report"]:
        return guarded(lambda: report(given[1:]))
    options = _parser().parse_args(given)
    return guarded(lambda: _train(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evenface-train",
        description="Train a face model: CNN classifier, VAE or debiasing VAE.",
        epilog="evenface-train report RUN... shows what runs have learned on one page; see "
        "evenface-train report --help.",
    )
    parser.add_argument(
        "config",
        nargs="?",
        help=f"a YAML file, or one of the ready-made {', '.join(ready_made())}",
    )
    add_overrides(
        parser, "replace single values, as in: --set optimizer.epochs=3 data.faces=photos"
    )
    parser.add_argument("--run", type=Path, help="folder to write (default: runs/NAME-timestamp)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in a folder")
    parser.add_argument("--device", help="auto, cpu, cuda or mps (default: as configured)")
    return parser


@terminable()
@together()
def _train(options: argparse.Namespace) -> None:
    if (options.config is None) == (options.resume is None):
        raise ConfigError("give either a configuration or --resume RUN")
    if options.resume is not None and (options.overrides or options.run):
        raise ConfigError("--resume takes its folder and settings from the run; leave out the rest")
    if options.resume is not None:
        _resume(_folder(options.resume, RunFolder.open), options.device)
    else:
        device = [f"device={options.device}"] if options.device else []
        config = load_config(options.config, [*options.overrides, *device])
        _start(config, _folder(options.run or default_path(config), RunFolder.create))


def _folder(path: Path, take: Callable[[Path], RunFolder]) -> RunFolder:
    """The run's folder, which one process of a run writes."""
    return take(path) if is_first_process() else Onlooker(path)


def _start(config: TrainingConfig, run: RunFolder) -> None:
    fabric = open_device(config)
    data = _load_in_turn(config, fabric)
    run.describe(config, data)
    _fit(Trainer(config, data, run, fabric), data, run)


def _load_in_turn(config: TrainingConfig, fabric: Fabric) -> TrainingData:
    """Load, one process of each machine before the others, which then find the images decoded."""
    with fabric.rank_zero_first(local=True):
        return load_data(config)


def _resume(run: RunFolder, device: str | None) -> None:
    checkpoint = load_checkpoint(run.last)
    config = checkpoint.config
    if device:
        values = {**config.model_dump(), "device": device}
        config = parse(TrainingConfig, values, source="--device")
    fabric = open_device(config)
    data = _load_in_turn(config, fabric)
    trainer = Trainer(config, data, run, fabric)
    trainer.restore(checkpoint)
    _fit(trainer, data, run)


def _fit(trainer: Trainer, data: TrainingData, run: RunFolder) -> None:
    if trainer.ranks.is_first:
        _announce(data, trainer, run)
    try:
        with StopRequest(_ECHO if trainer.ranks.size > 1 else 0.0) as stop:
            trainer.fit(stop)
    except KeyboardInterrupt:
        if trainer.ranks.is_first and run.last.is_file():
            tqdm.write(f"go on with: evenface-train --resume {run.path}", file=sys.stderr)
        raise
    finally:
        run.close()
    if trainer.ranks.is_first:
        tqdm.write(f"done: {run.best}")


def _announce(data: TrainingData, trainer: Trainer, run: RunFolder) -> None:
    parts = {"faces": data.faces, "non-faces": data.nonfaces}
    counts = ", ".join(
        f"{len(part.train)} {name} (+ {len(part.validation)} held out)"
        for name, part in parts.items()
        if part is not None
    )
    broken = sum(len(files) for files in data.broken.values())
    skipped = f", {broken} broken files skipped (see {run.path / 'broken-files.txt'})"
    shared = f", {trainer.ranks.size} processes" if trainer.ranks.size > 1 else ""
    where = f"on {trainer.device}{shared}, into {run.path}"
    tqdm.write(f"{counts}{skipped if broken else ''}; {where}")


if __name__ == "__main__":
    sys.exit(main())
