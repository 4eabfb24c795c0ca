"""The benchmark's commands: `python -m benchmarks.serving compare`, `growth` and `protocols`."""

import argparse
import shutil
from pathlib import Path

from evenface_core.cli import guarded
from evenface_core.errors import ConfigError

from benchmarks.serving import compare, grow, protocols
from benchmarks.serving.places import ROOT


def main() -> int:
    """Run a command and return its exit code: 0, 2 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results"
    )
    common.add_argument(
        "--evenface", default="", metavar="OPTIONS", help="more options of evenface-server"
    )
    common.add_argument("--rounds", type=int, default=3, help="default: 3")
    common.add_argument(
        "--seconds", type=float, default=5.0, help="of each measurement (default: 5)"
    )
    common.add_argument("--warm-up", type=float, default=1.0, help="seconds (default: 1)")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("compare", parents=[common], help="evenface, limits and peers")
    compare.add_options(add)
    add.set_defaults(run=compare.compare)
    add = commands.add_parser("growth", parents=[common], help="evenface as load and models grow")
    grow.add_options(add)
    add.set_defaults(run=grow.grow)
    add = commands.add_parser("protocols", parents=[common], help="evenface's two protocols")
    add.set_defaults(run=protocols.protocols)
    options = parser.parse_args()
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if not shutil.which("h2load"):
        raise ConfigError("h2load is not installed (Debian: apt install nghttp2-client)")
    options.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
