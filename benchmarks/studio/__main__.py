"""Measures the studio's live updates: `python -m benchmarks.studio`."""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.robustness.server import serving
from benchmarks.serving.places import ROOT
from benchmarks.serving.processes import busy_seconds, cores
from benchmarks.studio.page import Face, face
from benchmarks.studio.report import markdown, summary

_WARM_UP = 10


def main() -> None:
    """Measure, and write the figures beside those of the other benchmarks."""
    args = _parser().parse_args()
    with (
        serving("--models", str(ROOT / "models"), "--no-metrics") as (_, facts),
        face(str(facts["address"])) as shown,
    ):
        measured = _measure(shown, args.changes, args.drags)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "studio.json").write_text(json.dumps(measured, indent=1) + "\n")
    (args.out / "studio.md").write_text(markdown(measured))
    print((args.out / "studio.md").read_text())


def _measure(shown: Face, changes: int, drags: int) -> dict[str, Any]:
    for _ in range(_WARM_UP):
        shown.step()
    load, began, busy = os.getloadavg()[0], time.monotonic(), busy_seconds()
    steps = [shown.step() for _ in tqdm(range(changes), "steps", leave=False)]
    dragged = [shown.drag() for _ in tqdm(range(drags), "drags", leave=False)]
    wall = time.monotonic() - began
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": platform.machine(),
        "cores": cores(),
        "browser": shown.browser,
        "load_average_before": round(load, 2),
        "busy_cores": round((busy_seconds() - busy) / wall, 2),
        "step_ms": summary(steps),
        "drag_last_ms": summary([one.last_ms for one in dragged]),
        "drag_events": sum(one.events for one in dragged),
        "drag_requests": sum(one.requests for one in dragged),
        "drag_faces": sum(one.faces for one in dragged),
        "steps_ms": [round(one, 1) for one in steps],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.studio", description=__doc__)
    parser.add_argument("--changes", type=int, default=200, help="single steps of a slider (200)")
    parser.add_argument("--drags", type=int, default=10, help="drags over the whole slider (10)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser


if __name__ == "__main__":
    main()
