"""The page: runs and what was measured of them, laid out and written as HTML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml
from evenface_core.pictures import histogram_path
from jinja2 import Environment, PackageLoader, StrictUndefined

from evenface_training.config import TrainingConfig
from evenface_training.report import charts, groups, latents
from evenface_training.report.charts import BarChart, LineChart, line_chart
from evenface_training.report.groups import Differences, Group
from evenface_training.report.measuring import Findings, Measured
from evenface_training.report.reading import Run
from evenface_training.report.tiles import picture_file

_PICTURES = ("reconstructions", "samples", "rarest", "commonest")
_CHARTED = 12  # groups in a chart over epochs
_BARRED = 20  # groups in a bar chart


@dataclass(frozen=True)
class _Section:
    """A run's own part of the page.

    Attributes:
        run: As read.
        findings: What was measured, or None.
        problems: What is missing, and why.
        losses: Charts of the loss and its terms.
        by_group: Charts of groups over the epochs.
        pictures: Name and data URL of pictures that the run drew itself, in place of measured ones.
        config: What the run was told, as YAML.
    """

    run: Run
    findings: Findings | None
    problems: Sequence[str]
    losses: Sequence[LineChart]
    by_group: Sequence[LineChart]
    pictures: Sequence[tuple[str, str]] = field(repr=False)
    config: str = field(repr=False)


@dataclass(frozen=True)
class _Comparison:
    """The groups of the same columns in all runs that have them.

    Attributes:
        title: The columns.
        crossed: Whether there are two of them.
        rows: By group, by run; None where a run lacks it.
        trials: At which thresholds, and on which copy of the images; none without a classifier.
        left_out: The most groups that a run has beyond those shown.
        charts: Bars of each trial, and their enlargements.
        differences: By run.
    """

    title: str
    crossed: bool
    rows: Mapping[str, Sequence[Group | None]]
    trials: Sequence[str]
    left_out: int
    charts: Sequence[BarChart]
    differences: Sequence[tuple[str, Differences]]


def write_page(measured: Sequence[Measured]) -> str:
    """Lay runs out on one page.

    Args:
        measured: At least one run.

    Returns:
        HTML that needs no other file.
    """
    runs = [item.run for item in measured]
    sections = [_section(item, len(runs)) for item in measured]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=", ".join(run.name for run in runs),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            runs=runs,
            sections=sections,
            shows_faces=any(_shows_faces(section) for section in sections),
            figures=_figures(runs),
            differences=_differences(runs),
            progress=list(_progress(runs)),
            comparisons=_comparisons(measured),
            one_data_set=len({f.digest for f in _found(measured)}) < 2,  # noqa: PLR2004
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evenface_training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": charts.number, "percent": charts.percent}
    environment.globals |= {
        "histogram_path": histogram_path,
        "chart_width": charts.WIDTH,
        "small_group": groups.SMALL,
        "most_groups": groups.SHOWN,
        "most_bars": _BARRED,
        "active_above": latents.ACTIVE,
    }
    return environment


def _section(item: Measured, runs: int) -> _Section:
    run = item.run
    return _Section(
        run=run,
        findings=item.findings,
        problems=item.problems,
        losses=list(_losses(run)),
        by_group=list(_by_group(run)),
        pictures=[] if item.findings else list(_pictures(run, runs)),
        config=yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False),
    )


def _losses(run: Run) -> Iterator[LineChart]:
    terms = dict.fromkeys(name for record in run.epochs for name in record.train)
    for name in terms:
        lines = {
            part: [
                (record.epoch, values[name])
                for record in run.epochs
                if name in (values := getattr(record, attribute))
            ]
            for part, attribute in (("training", "train"), ("held out", "validation"))
        }
        yield from _some(line_chart(name, lines))
    if not terms:
        lines = {"training": [(record.step, record.loss) for record in run.steps]}
        yield from _some(line_chart("loss", lines, "step"))


def _by_group(run: Run) -> Iterator[LineChart]:
    names = dict.fromkeys(name for record in run.epochs for name in record.true_positive_rate)
    rates = {
        name: [
            (record.epoch, 100 * record.true_positive_rate[name])
            for record in run.epochs
            if name in record.true_positive_rate
        ]
        for name in list(names)[:_CHARTED]
    }
    yield from _some(line_chart("true positive rate at 0.5, %", rates))
    shares = dict.fromkeys(name for record in run.resamplings for name in record.groups)
    factors = {
        name: [
            (record.epoch, record.groups[name].after / record.groups[name].before)
            for record in run.resamplings
            if name in record.groups and record.groups[name].before > 0
        ]
        for name in list(shares)[:_CHARTED]
    }
    yield from _some(line_chart("share by weight / share by count", factors))
    sizes = [(record.epoch, record.effective_sample_size) for record in run.resamplings]
    yield from _some(line_chart("effective sample size", {"faces": sizes}))


def _some(chart: LineChart | None) -> Iterator[LineChart]:
    if chart is not None:
        yield chart


def _pictures(run: Run, runs: int) -> Iterator[tuple[str, str]]:
    for name in _PICTURES:
        try:
            yield name, picture_file(run.path / "pictures" / f"{name}.png", runs)
        except OSError:  # not drawn, or damaged
            continue


def _shows_faces(section: _Section) -> bool:
    found = section.findings
    return bool(section.pictures or (found and (found.generation or found.weights)))


def _figures(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """Figures of the held-out images at the best epoch, as validation found them, by run."""
    known = [dict(run.loaded.metrics) if run.loaded else _best(run) for run in runs]
    names = dict.fromkeys(name for figures in known for name in figures)
    return {name: [figures.get(name) for figures in known] for name in names}


def _best(run: Run) -> dict[str, float]:
    with_loss = [record.validation for record in run.epochs if "loss" in record.validation]
    return min(with_loss, key=lambda figures: figures["loss"], default={})


def _differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Settings in which runs differ, by key."""
    known = [_flat(run.config) for run in runs]
    keys = dict.fromkeys(key for settings in known for key in settings)
    rows = {key: [settings.get(key, "–") for settings in known] for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def _flat(config: TrainingConfig) -> dict[str, str]:
    values = config.model_dump(mode="json")
    values["data"].pop("cache")
    return dict(_pairs(values, ""))


def _pairs(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _pairs(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", yaml.safe_dump(value, default_flow_style=True).split("\n...")[0]


def _progress(runs: Sequence[Run]) -> Iterator[LineChart]:
    """What can be compared between runs over the epochs: figures that are no term of a loss."""
    records = [record for run in runs for record in run.epochs]
    terms = {name for record in records for name in record.train}
    names = dict.fromkeys(name for record in records for name in record.validation)
    for name in names:
        if name not in terms:
            lines = {
                run.name: [
                    (record.epoch, record.validation[name])
                    for record in run.epochs
                    if name in record.validation
                ]
                for run in runs
            }
            yield from _some(line_chart(name, lines))


def _found(measured: Sequence[Measured]) -> list[Findings]:
    return [item.findings for item in measured if item.findings is not None]


def _comparisons(measured: Sequence[Measured]) -> list[_Comparison]:
    tables = [
        {table.title: table for table in item.findings.groups} if item.findings else {}
        for item in measured
    ]
    names = [item.run.name for item in measured]
    found = []
    for title in dict.fromkeys(title for by_title in tables for title in by_title):
        chosen = [by_title.get(title) for by_title in tables]
        known = [{group.name: group for group in table.groups} if table else {} for table in chosen]
        rows = {
            name: [by_name.get(name) for by_name in known]
            for name in dict.fromkeys(name for by_name in known for name in by_name)
        }
        trials = dict.fromkeys(
            trial for row in rows.values() for group in row if group for trial in group.rates
        )
        found.append(
            _Comparison(
                title=title,
                crossed=any(table.crossed for table in chosen if table),
                rows=rows,
                trials=list(trials),
                left_out=max(table.left_out for table in chosen if table),
                charts=[
                    *(_bars(rows, names, trial, zoomed=False) for trial in trials),
                    *(_bars(rows, names, trial, zoomed=True) for trial in trials),
                ],
                differences=[
                    (run, item)
                    for run, table in zip(names, chosen, strict=True)
                    for item in (table.differences if table else ())
                ],
            )
        )
    return found


def _bars(
    rows: Mapping[str, Sequence[Group | None]], names: Sequence[str], trial: str, *, zoomed: bool
) -> BarChart:
    rates = {
        name: {
            run: (group.rates[trial], group.small)
            for run, group in zip(names, row, strict=True)
            if group is not None and trial in group.rates
        }
        for name, row in rows.items()
    }
    shown = dict([(name, by_run) for name, by_run in rates.items() if by_run][:_BARRED])
    title = f"{trial[0].upper()}{trial[1:]}{', enlarged' if zoomed else ''}"
    return charts.bar_chart(title, shown, names, zoomed=zoomed)
