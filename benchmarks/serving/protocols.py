"""The command `protocols`: our own API beside the Open Inference Protocol, on the same server."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.serving import machine
from benchmarks.serving.graph import open_reference
from benchmarks.serving.measure import Figures
from benchmarks.serving.results import write_json
from benchmarks.serving.rounds import Plan, measure_subject
from benchmarks.serving.subjects import evenface, open_inference
from benchmarks.serving.tables import table
from benchmarks.serving.workloads import SCENARIOS

_HEAD = ("", "requests/s", "server CPU a request", "p99")
Pair = tuple[Mapping[str, Figures], Mapping[str, Figures]]


def protocols(options: argparse.Namespace) -> None:
    """Measure both in turn, and show the ratios; write them with all figures to a JSON file."""
    own = shlex.split(options.evenface)
    plan = Plan(options.rounds, options.seconds, options.warm_up)
    reference = open_reference()
    subjects = evenface(own), open_inference(own)
    pairs: list[Pair] = []
    for number in range(plan.rounds):
        found = {
            subject.name: measure_subject(subject, SCENARIOS, plan.measure, reference, _say)[0]
            for subject in (subjects if number % 2 else reversed(subjects))
        }
        pairs.append((found[subjects[1].name], found[subjects[0].name]))
    text = table(_HEAD, ratios(pairs))
    rounds = [[{k: dataclasses.asdict(v) for k, v in one.items()} for one in p] for p in pairs]
    options.out.mkdir(parents=True, exist_ok=True)
    facts = {**machine.describe(subjects), "plan": dataclasses.asdict(plan)}
    write_json(options.out / "protocols.json", {**facts, "rounds": rounds})
    print("The Open Inference Protocol's figure over that of our own API, medians of rounds:\n")
    print(text)


def ratios(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Rows of a table: of each scenario, the first of each pair over the second, medians."""
    rows: list[tuple[str, ...]] = []
    for scenario in SCENARIOS:
        both = [(a[scenario.key], b[scenario.key]) for a, b in pairs
                if scenario.key in a and scenario.key in b]  # fmt: skip
        if both:
            rows.append(
                (
                    scenario.title,
                    _middle([a.requests_per_second / b.requests_per_second for a, b in both]),
                    _middle([a.server_cpu / b.server_cpu for a, b in both]),
                    _middle([a.p99 / b.p99 for a, b in both]),
                )
            )
    return rows


def _middle(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
