"""What the runs show, as tables, JSON and a picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evenface_core.errors import DataError

from benchmarks.debiasing.bootstrap import (
    CONDITIONS,
    FIGURES,
    Comparison,
    Float64,
    Key,
    interval,
    replicate,
)
from benchmarks.debiasing.plots import plot
from benchmarks.debiasing.runs import Run
from benchmarks.debiasing.sets import HeldOut
from benchmarks.debiasing.variants import BASE, VARIANTS

_TITLES = {
    ("clean", "half"): "Clean test set, probability 0.5",
    ("clean", "one percent"): "Clean test set, 1 % false positives",
    ("degraded", "half"): "Degraded copy, probability 0.5",
    ("degraded", "one percent"): "Degraded copy, 1 % false positives",
}
_MEAN, _VARIANCE, _WORST = range(len(FIGURES))
_RARE = 0.05
_EVEN = 1 - 1e-6  # of an effective sample size: equal weights, rounded


@dataclass(frozen=True)
class Evidence:
    """All that a report is made of.

    Attributes:
        data: `synthetic` or `portraits`.
        command: What was called.
        settings: What all runs have in common.
        runs: Those that are finished.
        test: The clean test set.
    """

    data: str
    command: str
    settings: Mapping[str, Any]
    runs: Sequence[Run] = field(repr=False)
    test: HeldOut = field(repr=False)


@dataclass(frozen=True)
class _Results:
    """Figures of all variants, and their replicates.

    Attributes:
        seeds: Runs of each.
        figures: By variant, float64 [conditions, figures].
        rates: By variant, float64 [conditions, groups], percent, means over seeds.
        replicates: By variant, float64 [replicates, conditions, figures].
    """

    seeds: int
    figures: Mapping[Key, Float64]
    rates: Mapping[Key, Float64]
    replicates: Mapping[Key, Float64]

    def difference(self, key: Key, base: Key, condition: int, figure: int) -> str:
        """Of a figure from that of another variant, with its interval."""
        place = condition, figure
        found = self.figures[key][place] - self.figures[base][place]
        draws = self.replicates[key][:, *place] - self.replicates[base][:, *place]
        low, high = interval(draws)
        return f"{found:+.2f} ({low:+.2f} to {high:+.2f})"

    def ratio(self, key: Key, base: Key, condition: int) -> str:
        """How many times smaller the variance is than that of another variant."""
        place = condition, _VARIANCE
        ours = self.figures[key][place]
        draws = self.replicates[key][:, *place]
        if not ours or not draws.all():
            return "0 in one of them"
        found = self.figures[base][place] / ours
        low, high = interval(self.replicates[base][:, *place] / draws)
        return f"{found:.2f} ({low:.2f} to {high:.2f})"


def write(evidence: Evidence, path: Path, replicates: int) -> str:
    """Compare the variants that have a run of every seed, write files, give the report.

    Args:
        evidence: What there is.
        path: The files without their ending.
        replicates: Of the bootstrap.

    Raises:
        DataError: There is nothing to compare.
    """
    runs = _complete(evidence.runs)
    results = _compare(runs, evidence.test, replicates)
    report = _report(evidence, runs, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(report, encoding="utf-8")
    text = json.dumps(_as_json(evidence, runs, results), indent=1)
    path.with_suffix(".json").write_text(f"{text}\n", encoding="utf-8")
    plot(path.with_suffix(".png"), results.rates, list(evidence.test.groups), _caption(results))
    return report


def _complete(runs: Sequence[Run]) -> list[Run]:
    """Runs of the seeds that every variant has."""
    seeds: dict[Key, set[int]] = {}
    for run in runs:
        seeds.setdefault((run.variant, run.augmented), set()).add(run.seed)
    common = set.intersection(*seeds.values()) if seeds else set()
    if not common or (BASE, False) not in seeds:
        raise DataError(f"no seed has a finished run of every variant, {BASE} among them")
    return [run for run in runs if run.seed in common]


def _compare(runs: list[Run], test: HeldOut, replicates: int) -> _Results:
    comparison = Comparison(runs, test.groups)
    whole = comparison.whole()
    return _Results(
        seeds=len(whole.seeds),
        figures=comparison.all_figures(whole),
        rates={
            key: np.stack(
                [
                    100 * comparison.rates(key, *condition, whole).mean(axis=0)
                    for condition in CONDITIONS
                ]
            )
            for key in comparison.keys
        },
        replicates=replicate(comparison, replicates),
    )


def _report(evidence: Evidence, runs: list[Run], results: _Results) -> str:
    tables = [
        f"## {_TITLES[condition]}\n\n{_table(results, number, _false_positives(runs, *condition))}"
        for number, condition in enumerate(CONDITIONS)
    ]
    rules = (
        f"## The rule by itself: against the CNN with the same augmentation\n\n{_rules(results)}"
    )
    shares = f"## Shares of rare groups in the weights\n\n{_shares(runs)}"
    return "\n\n".join([_head(evidence, results.seeds), *tables, rules, shares]) + "\n"


def _head(evidence: Evidence, seeds: int) -> str:
    size = evidence.settings["sizes"]["size"]
    optimizer = evidence.settings["optimizer"]
    test = evidence.test
    listed = ", ".join(f"{name} {members.sum():,}" for name, members in test.groups.items())
    return (
        f"# Debiasing: {evidence.data}\n\n`{evidence.command}`\n\n"
        f"Images of {size} × {size}, {optimizer['epochs']} epochs, averaged weights (decay "
        f"{optimizer['ema_decay']}), {seeds} seeds. Test set: {len(test.faces):,} faces, "
        f"{len(test.nonfaces):,} non-faces. Faces by group: {listed}.\n\n"
        "E[A] and Var[A] are mean and variance over these groups of the true positive rate "
        "(percent, percent²), *worst* is the rate of the worst group, *false positives* the share "
        "of the non-faces that pass; all are means over seeds. "
        "Comparisons are with the CNN without augmentation unless said otherwise. In brackets: "
        "95 % of a paired bootstrap over seeds, test faces and test non-faces. Chance alone gives "
        "a group of n faces at p percent a variance of p (100 − p) / n."
    )


def _false_positives(runs: Sequence[Run], part: str, at: str) -> dict[Key, float]:
    """Percent of the non-faces at logit 0, means over seeds; at the other threshold it is 1."""
    found: dict[Key, list[float]] = {}
    for run in runs if at == "half" else ():
        share = run.scores[part].false_positives
        found.setdefault((run.variant, run.augmented), []).append(share)
    return {key: float(100 * np.mean(shares)) for key, shares in found.items()}


def _table(results: _Results, condition: int, false_positives: Mapping[Key, float]) -> str:
    base = (BASE, False)
    compared_with = ("E[A] − CNN's", "CNN's Var[A] / Var[A]", "worst − CNN's")
    more = ("false positives",) if false_positives else ()
    head = ("", "E[A]", "Var[A]", "worst", *more, *compared_with)
    rows = []
    for key in _ordered(results.figures):
        figures = results.figures[key][condition]
        compared = ["", "", ""]
        if key != base:
            compared = [
                results.difference(key, base, condition, _MEAN),
                results.ratio(key, base, condition),
                results.difference(key, base, condition, _WORST),
            ]
        values = [figures[figure] for figure in (_MEAN, _VARIANCE, _WORST)]
        values += [false_positives[key]] if more else []
        rows.append([_title(key), *(f"{value:.2f}" for value in values), *compared])
    return _markdown(head, rows)


def _rules(results: _Results) -> str:
    shown = [number for number, (_, at) in enumerate(CONDITIONS) if at != "half"]
    head = [""]
    for number in shown:
        part = CONDITIONS[number][0]
        head += [f"{part}: E[A]", f"{part}: Var[A], times smaller", f"{part}: worst"]
    rows = []
    for key in _ordered(results.figures):
        base = (BASE, key[1])
        if key == base or base not in results.figures:
            continue
        row = [_title(key)]
        for number in shown:
            row += [
                results.difference(key, base, number, _MEAN),
                results.ratio(key, base, number),
                results.difference(key, base, number, _WORST),
            ]
        rows.append(row)
    return _markdown(head, rows)


def _shares(runs: list[Run]) -> str:
    """Rare groups before and after weighting, and the effective sample size, over seeds."""
    first = [run for run in runs if run.variant == BASE and not run.augmented]
    before = {
        name: float(np.mean([run.shares[name][0] for run in first if name in run.shares]))
        for name in first[0].shares
    }
    rare = sorted((name for name, share in before.items() if share < _RARE), key=before.__getitem__)
    rows = [["as they are", *(f"{100 * before[name]:.2f} %" for name in rare), "100 %"]]
    for key in _ordered({(run.variant, run.augmented): None for run in runs}):
        some = [run for run in runs if (run.variant, run.augmented) == key]
        if all(run.effective_share > _EVEN for run in some):
            continue
        after = [np.mean([run.shares.get(name, (0, 0))[1] for run in some]) for name in rare]
        size = np.mean([run.effective_share for run in some])
        rows.append([_title(key), *(f"{100 * s:.2f} %" for s in after), f"{100 * size:.1f} %"])
    return _markdown(["", *rare, "effective sample size"], rows)


def _ordered(found: Mapping[Key, object]) -> list[Key]:
    names = list(VARIANTS)
    return sorted(found, key=lambda key: (key[1], names.index(key[0])))


def _title(key: Key) -> str:
    return VARIANTS[key[0]].title + (" + augmentation" if key[1] else "")


def _caption(results: _Results) -> str:
    return f"True positive rate, percent; means over {results.seeds} seeds"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _as_json(evidence: Evidence, runs: list[Run], results: _Results) -> dict[str, Any]:
    return {
        "command": evidence.command,
        "settings": evidence.settings,
        "groups": {name: int(members.sum()) for name, members in evidence.test.groups.items()},
        "seeds": results.seeds,
        "variants": [
            {
                "variant": key[0],
                "augmented": key[1],
                "conditions": {
                    " at ".join(condition): _condition(evidence, results, key, number)
                    for number, condition in enumerate(CONDITIONS)
                },
            }
            for key in _ordered(results.figures)
        ],
        "runs": [
            {
                "variant": run.variant,
                "augmented": run.augmented,
                "seed": run.seed,
                "cpu_seconds": run.cpu_seconds,
                "effective_share": run.effective_share,
                "false_positives": {p: s.false_positives for p, s in run.scores.items()},
                "shares": run.shares,
            }
            for run in runs
        ],
    }


def _condition(evidence: Evidence, results: _Results, key: Key, number: int) -> dict[str, Any]:
    draws = results.replicates[key][:, number]
    rates = zip(evidence.test.groups, results.rates[key][number], strict=True)
    return {
        "true_positive_rate": {name: round(float(rate), 3) for name, rate in rates},
        **{
            name: {
                "value": round(float(results.figures[key][number, place]), 4),
                "interval": [round(value, 4) for value in interval(draws[:, place])],
            }
            for place, name in enumerate(FIGURES)
        },
    }
