"""Compares what calls cost at another commit and now, taking turns on the same machine.

    python benchmarks/engine/compare.py REVISION

Each side runs its own `cost.py`, so that every commit is measured through the interfaces it has.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[2]
SOURCES = ("core", "server", "protos/gen")
_PROGRAM = "benchmarks/engine/cost.py"


def export(revision: str, folder: Path) -> None:
    """Write the tree of a commit to a folder."""
    archive = subprocess.run(
        ["git", "archive", revision], cwd=_ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)


def _costs(root: Path) -> Mapping[str, float]:
    """Run the program of a tree on that tree's sources."""
    path = os.pathsep.join(str(root / source) for source in SOURCES)
    done = subprocess.run(
        [sys.executable, _PROGRAM],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    costs: Mapping[str, float] = json.loads(done.stdout)
    return costs


def main() -> None:
    """Print a table: microseconds of CPU a call there and here, and the ratio."""
    parser = argparse.ArgumentParser(description="Microseconds of CPU a call, then and now.")
    parser.add_argument("revision", help="to compare the working tree with")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        export(options.revision, Path(folder))
        rounds = [(_costs(Path(folder)), _costs(_ROOT)) for _ in range(options.rounds)]
    print(f"| call | {options.revision} | now | ratio (least – most) |\n|---|---|---|---|")
    for name in rounds[0][1]:
        pairs = [(then[name], now[name]) for then, now in rounds if name in then]
        if pairs:
            then, now = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratios = [b / a for a, b in pairs]
            spread = f"{min(ratios):.2f} – {max(ratios):.2f}"
            print(
                f"| {name} | {then:.1f} | {now:.1f} | {statistics.median(ratios):.2f} ({spread}) |"
            )


if __name__ == "__main__":
    main()
