"""Results of the batch benchmark: a table, a picture, and all figures as JSON."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.batch.measure import Figures
from benchmarks.batch.subject import is_floor
from benchmarks.serving.medians import median
from benchmarks.serving.results import write_json
from benchmarks.serving.tables import table

Rounds = Sequence[Mapping[tuple[str, int], Figures]]

SESSION, DECODING = "session", "decoding + session"
_HEAD = (
    "what", "workers", "images/s", "of the session", "of decoding + session", "growth",
    "CPU µs/image", "CPU of decoding + session", "cores", "others' cores", "start s", "MiB",
)  # fmt: skip
_NOTE = """\
Ratios are taken within each round; medians of the rounds. *Of*: images/s over those of the floor
with as many workers. *Growth*: images/s over those with one worker. CPU: of all processes, a
server's included. Where *others' cores* is not near 0, only the columns of CPU tell much."""


def write(out: Path, rounds: Rounds, machine: Mapping[str, object], about: str) -> str:
    """Write `batch.md`, `batch.png` and `batch.json`; returns the first."""
    out.mkdir(parents=True, exist_ok=True)
    cells = [
        {"what": kind, "workers": workers, **dataclasses.asdict(figures)}
        for each in rounds
        for (kind, workers), figures in each.items()
    ]
    text = f"# Scoring jobs\n\n{about}\n\n{_NOTE}\n\n{table(_HEAD, _rows(rounds))}\n"
    (out / "batch.md").write_text(text, encoding="utf-8")
    write_json(out / "batch.json", {"machine": machine, "about": about, "measured": cells})
    _plot(out / "batch.png", rounds, f"{machine['cpu']}, {machine['cores']} cores")
    return text


def ratio(rounds: Rounds, one: tuple[str, int], other: tuple[str, int], figure: str) -> float:
    """The median over the rounds of a figure of one by that of another."""
    pairs = [(float(getattr(each[one], figure)), getattr(each[other], figure)) for each in rounds]
    return float(statistics.median([a / b for a, b in pairs]))


def _rows(rounds: Rounds) -> list[list[str]]:
    return [_row(rounds, kind, workers) for kind, workers in rounds[0]]


def _row(rounds: Rounds, kind: str, workers: int) -> list[str]:
    own, least = (kind, workers), min(count for _, count in rounds[0])
    found = median([each[own] for each in rounds])
    return [
        kind,
        str(workers),
        f"{found.images_per_second:,.0f}",
        f"{ratio(rounds, own, (SESSION, workers), 'images_per_second'):.2f}",
        f"{ratio(rounds, own, (DECODING, workers), 'images_per_second'):.2f}",
        f"{ratio(rounds, own, (kind, least), 'images_per_second'):.2f}",
        f"{found.cpu_per_image:,.0f}",
        f"{ratio(rounds, own, (DECODING, workers), 'cpu_per_image'):.2f}",
        f"{found.cores:.2f}",
        f"{found.other_cores:.2f}",
        f"{found.start:.1f}",
        f"{found.memory:,.0f}",
    ]


def _plot(path: Path, rounds: Rounds, caption: str) -> None:
    kinds = list(dict.fromkeys(kind for kind, _ in rounds[0]))
    counts = sorted({workers for _, workers in rounds[0]})
    figure, (growth, cost) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for kind in kinds:
        found = [median([each[kind, workers] for each in rounds]) for workers in counts]
        style = {"linestyle": "--", "color": "#9a9a9a"} if is_floor(kind) else {}
        marker = "s" if kind == SESSION else "o"
        rates = [each.images_per_second for each in found]
        growth.plot(counts, rates, marker=marker, label=kind, **style)
    bars = [median([each[kind, counts[-1]] for each in rounds]).cpu_per_image for kind in kinds]
    colors = ["#9a9a9a" if is_floor(kind) else "#2e6f95" for kind in kinds]
    cost.barh(kinds[::-1], bars[::-1], color=colors[::-1])
    for place, value in enumerate(bars[::-1]):
        cost.text(value, place, f" {value:,.0f}", va="center", fontsize=8)
    growth.set_xlabel("workers", fontsize=8)
    growth.set_ylabel("images/s", fontsize=8)
    growth.set_xticks(counts)
    growth.set_ylim(bottom=0)
    growth.legend(fontsize=8, frameon=False)
    cost.set_xlabel(f"CPU µs an image, {counts[-1]} workers", fontsize=8)
    cost.margins(x=0.15)
    for axis in (growth, cost):
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=110)
    plt.close(figure)
