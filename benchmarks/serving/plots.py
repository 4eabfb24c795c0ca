"""Results as pictures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from benchmarks.serving.subjects import EVENFACE, NOOP, Subject
from benchmarks.serving.summary import Summary
from benchmarks.serving.workloads import Scenario

OWN, GRPC, HTTP, FLOOR = "#d1495b", "#2e6f95", "#8fb8d0", "#9a9a9a"

_COLUMNS = 2
_FLOORS = 2  # bars that are no server
_LEGEND = ((OWN, EVENFACE), (GRPC, "gRPC peers"), (HTTP, "HTTP peers"), (FLOOR, "limits"))


def plot_comparison(
    path: Path,
    summary: Summary,
    subjects: Sequence[Subject],
    scenarios: Sequence[Scenario],
    caption: str,
) -> None:
    """Draw images per second of everything, one panel for each scenario, p99 beside the bars."""
    lines = -(-len(scenarios) // _COLUMNS)
    figure, axes = plt.subplots(
        lines, _COLUMNS, figsize=(13, 0.6 + 3.6 * lines), squeeze=False, layout="constrained"
    )
    for axis, scenario in zip(axes.flat, scenarios, strict=False):
        _panel(axis, summary, subjects, scenario)
    for axis in axes.flat[len(scenarios) :]:
        axis.set_visible(False)
    handles = [Patch(color=color) for color, _ in _LEGEND]
    figure.legend(handles, [name for _, name in _LEGEND], loc="outside upper center", ncols=4)
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axis: Axes, summary: Summary, subjects: Sequence[Subject], scenario: Scenario) -> None:
    bars = _bars(summary, subjects, scenario)
    positions = range(len(bars))
    axis.barh(positions, [rate for _, rate, _, _ in bars], color=[color for *_, color in bars])
    axis.set_yticks(positions, [name for name, *_ in bars])
    axis.set_ylim(len(subjects) + _FLOORS - 0.5, -0.5)
    most = max((rate for _, rate, _, _ in bars), default=1.0)
    axis.set_xlim(0, 1.32 * most)
    for position, (_, rate, note, _) in zip(positions, bars, strict=True):
        axis.text(rate + 0.01 * most, position, note, va="center", fontsize=8)
    axis.set_title(scenario.title, fontsize=10)
    axis.set_xlabel("images/s", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _bars(
    summary: Summary, subjects: Sequence[Subject], scenario: Scenario
) -> list[tuple[str, float, str, str]]:
    """Name, rate, note and colour of each bar; the no-op of large messages would dwarf the rest."""
    best = max(floor.images_per_second for floor in summary.sessions.values())
    bars = [("session alone", best, f"{best:,.0f}", FLOOR)]
    if scenario.key in summary.decoding:
        rate = summary.decoding[scenario.key].images_per_second
        bars.append(("decoding alone", rate, f"{rate:,.0f}", FLOOR))
    for subject in subjects:
        found = summary.figures.get(subject.name, {}).get(scenario.key)
        if found is None or (subject.name == NOOP and scenario.images_per_request > 1):
            continue
        rate = found.images_per_second
        color = _color(subject)
        bars.append((subject.name, rate, f"{rate:,.0f}; p99 {found.p99:.0f} ms", color))
    return bars


def _color(subject: Subject) -> str:
    if subject.name in (EVENFACE, NOOP):
        return OWN if subject.name == EVENFACE else FLOOR
    return GRPC if subject.protocol == "gRPC" else HTTP
