"""Which engine a command line asks for. Each engine's libraries are imported only if it is."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from evenface_core.errors import JobError

from evenface_batch.engines import Engine


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """Add `--engine` and what engines need to know."""
    group = command.add_argument_group("engine")
    group.add_argument(
        "--engine", choices=tuple(_ENGINES), default="local", help="who scores (local)"
    )
    group.add_argument(
        "--model", required=True, metavar="MODEL", help="folder of a bundle, as models/faces/1"
    )
    group.add_argument("--workers", type=int, default=0, metavar="N", help="processes (one a core)")


def choose_engine(options: argparse.Namespace) -> Engine:
    """Make the engine that was asked for.

    Raises:
        JobError: An option cannot be used.
    """
    if options.workers < 0:
        raise JobError(f"--workers: {options.workers} is below 0")
    return _ENGINES[options.engine](options)


def _local(options: argparse.Namespace) -> Engine:
    from evenface_batch.engines.local import LocalEngine  # noqa: PLC0415
    from evenface_batch.engines.model import LocalModel  # noqa: PLC0415

    return LocalEngine(LocalModel(Path(options.model)), options.workers)


_ENGINES: Mapping[str, Callable[[argparse.Namespace], Engine]] = {"local": _local}
