"""The command `compare`: evenface, the limits and the peers side by side."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from evenface_core.errors import ConfigError

from benchmarks.serving import machine
from benchmarks.serving.graph import open_reference
from benchmarks.serving.plots import plot_comparison
from benchmarks.serving.processes import cores
from benchmarks.serving.results import write_json
from benchmarks.serving.rounds import Plan, Round, run_rounds
from benchmarks.serving.subjects import Subject, evenface, noop, peers
from benchmarks.serving.summary import Summary, summarise
from benchmarks.serving.tables import write_tables
from benchmarks.serving.workloads import SCENARIOS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `compare` can be told."""
    names = ", ".join(subject.name for subject in peers())
    parser.add_argument(
        "--peers", nargs="*", metavar="PEER", help=f"only these of {names}; none: no peer"
    )
    keys = [scenario.key for scenario in SCENARIOS]
    parser.add_argument("--scenarios", nargs="+", choices=keys, default=keys, metavar="KEY",
                        help=f"only these of {', '.join(keys)}")  # fmt: skip


def compare(options: argparse.Namespace) -> None:
    """Measure, write table, plot and JSON file, print the table."""
    own = shlex.split(options.evenface)
    subjects = [noop(), evenface(own), *_chosen_peers(options.peers)]
    scenarios = [each for each in SCENARIOS if each.key in options.scenarios]
    plan = Plan(options.rounds, options.seconds, options.warm_up)
    reference = open_reference()
    rounds = run_rounds(plan, subjects, scenarios, reference, say)
    summary = summarise(rounds, subjects, cores())
    facts = {
        **machine.describe(subjects),
        "plan": dataclasses.asdict(plan),
        "commands": {each.name: shlex.join(each.command([0, 0, 0])) for each in subjects},
    }
    about = heading(plan, own)
    text = f"{about}\n\n{write_tables(summary, subjects, scenarios)}"
    _write(options.out, facts, rounds, summary, text)
    plot_comparison(options.out / "compare.png", summary, subjects, scenarios, about)
    print(text)


def say(line: str) -> None:
    """Tell what is going on, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _chosen_peers(names: Sequence[str] | None) -> list[Subject]:
    known = {subject.name.lower(): subject for subject in peers()}
    unknown = [name for name in names or () if name.lower() not in known]
    if unknown:
        raise ConfigError(f"--peers is '{unknown[0]}'; there are {', '.join(known)}")
    return [known[name.lower()] for name in (known if names is None else names)]


def _write(
    folder: Path, facts: dict[str, object], rounds: Sequence[Round], summary: Summary, text: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.md").write_text(text)
    values = {
        **facts,
        "summary": dataclasses.asdict(summary),
        "rounds": [dataclasses.asdict(each) for each in rounds],
    }
    write_json(folder / "compare.json", values)


def heading(plan: Plan, own: Sequence[str]) -> str:
    """What the figures were made with, in a paragraph."""
    facts = machine.describe(())
    options = f" (options: `{shlex.join(own)}`)" if own else ""
    changed = " with changes" if facts["changed_since"] else ""
    return (
        f"{facts['cpu']}, {facts['cores']} cores; "
        f"evenface at {facts['revision']}{changed}{options}; "
        f"{plan.rounds} interleaved rounds of {plan.seconds:g} s, medians; "
        f"client: {facts['client']} on the same cores; {facts['date']}."
    )
