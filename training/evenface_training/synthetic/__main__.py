"""The command `python -m evenface_training.synthetic`: the benchmark as pictures or files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenface_core.cli import add_overrides, guarded
from evenface_core.config import override, parse
from evenface_core.errors import ConfigError

from evenface_training.synthetic.config import SyntheticConfig
from evenface_training.synthetic.streams import PARTS
from evenface_training.synthetic.writing import write_factors, write_folder, write_sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 after an error, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: _draw(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evenface_training.synthetic",
        description="Draw the synthetic benchmark: faces and non-faces of which all is known.",
    )
    parser.add_argument("--count", type=int, default=64, help="images of each part (default: 64)")
    parser.add_argument("--part", choices=[*PARTS, "both"], default="both", help="what to draw")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="PNG", help="one sheet to look at")
    where.add_argument("--factors", type=Path, metavar="PNG", help="one sheet of all values")
    where.add_argument("--folder", type=Path, help="a file each, and labels.csv")
    parser.add_argument("--format", choices=["png", "jpeg"], default="png", help="of --folder")
    add_overrides(parser, "settings, as in: --set size=128 seed=3 frequencies.tone=uniform")
    return parser


def _draw(options: argparse.Namespace) -> None:
    values: dict[str, Any] = {}
    for text in options.overrides:
        override(values, text)
    config = parse(SyntheticConfig, values, source="--set")
    if options.count < 1:
        raise ConfigError(f"--count is {options.count}; it must be 1 or more")
    parts = PARTS if options.part == "both" else (options.part,)
    counts = dict.fromkeys(parts, options.count)
    if options.factors is not None:
        write_factors(options.factors, config)
    elif options.out is not None:
        write_sheet(options.out, config, counts)
    else:
        write_folder(options.folder, config, counts, options.format)


if __name__ == "__main__":
    sys.exit(main())
