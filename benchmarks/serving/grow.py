"""The command `growth`: cost against load, images in a request, and models loaded."""

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.serving import machine
from benchmarks.serving.compare import heading, say
from benchmarks.serving.graph import Reference, open_reference
from benchmarks.serving.growth import (
    OFFERED,
    LoadCurve,
    measure_load,
    measure_models,
    measure_rows,
)
from benchmarks.serving.growth_report import Growth, plot_growth, write_growth
from benchmarks.serving.medians import Value, median
from benchmarks.serving.results import write_json
from benchmarks.serving.rounds import Plan

PARTS = ("load", "rows", "models")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `growth` can be told besides what all commands can."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"only these of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--deadline", type=float, default=0.25, metavar="SECONDS",
                        help="of each call that is offered (default: 0.25)")  # fmt: skip


def grow(options: argparse.Namespace) -> None:
    """Measure, write table, plot and JSON file, print the table."""
    own = shlex.split(options.evenface)
    plan = Plan(options.rounds, options.seconds, options.warm_up)
    reference = open_reference()
    rounds = [
        _measure(plan, own, options.parts, options.deadline, reference) for _ in range(plan.rounds)
    ]
    growth = Growth(
        load=tuple(map(_median_curve, zip(*(each.load for each in rounds), strict=True))),
        rows=_medians([each.rows for each in rounds]),
        models=_medians([each.models for each in rounds]),
    )
    about = heading(plan, own)
    text = f"{about}\n\n{write_growth(growth)}"
    facts = {**machine.describe(()), "plan": dataclasses.asdict(plan), "options": own}
    write_json(options.out / "growth.json", {**facts, **dataclasses.asdict(growth)})
    (options.out / "growth.md").write_text(text)
    plot_growth(options.out / "growth.png", growth, about)
    print(text)


def _measure(
    plan: Plan, own: Sequence[str], parts: Sequence[str], deadline: float, reference: Reference
) -> Growth:
    kinds = OFFERED if "load" in parts else ()
    load = tuple(measure_load(plan, own, deadline, reference, kind, say) for kind in kinds)
    rows = measure_rows(plan, own, reference, say) if "rows" in parts else ()
    models = measure_models(plan, own, reference, say) if "models" in parts else ()
    return Growth(load, rows, models)


def _median_curve(rounds: Sequence[LoadCurve]) -> LoadCurve:
    points = _medians([each.points for each in rounds])
    goodput = tuple(share for each in rounds for share in each.goodput)
    return replace(median(rounds), points=points, goodput=goodput)


def _medians(rounds: Sequence[tuple[Value, ...]]) -> tuple[Value, ...]:
    """The median of each point over the rounds."""
    return tuple(map(median, zip(*rounds, strict=True)))
