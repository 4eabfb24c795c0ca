"""How cost grows, as tables and as a picture."""

import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.serving.growth import LoadCurve, LoadPoint, ModelsPoint, RowsPoint
from benchmarks.serving.plots import FLOOR, GRPC, HTTP, OWN
from benchmarks.serving.tables import table

_LOAD_HEAD = (
    "load",
    "offered/s",
    "in time/s",
    "refused/s",
    "late/s",
    "lost/s",
    "p50 ms",
    "p99 ms",
    "p50 ms until refused",
    "server cores",
    "client cores",
    "others' cores",
    "client late ms (p99)",
)


@dataclass(frozen=True)
class Growth:
    """All points; a list is empty where that part was left out.

    Attributes:
        load: One curve for each kind of call.
        rows: By images in a request.
        models: By models loaded.
    """

    load: tuple[LoadCurve, ...] = ()
    rows: tuple[RowsPoint, ...] = ()
    models: tuple[ModelsPoint, ...] = ()


def write_growth(growth: Growth) -> str:
    """All tables."""
    parts = [
        ("Load: calls that come at random", _load_tables(growth), growth.load),
        ("Images in a request, 4 requests in flight", _rows_table(growth), growth.rows),
        (
            "Models loaded, 32 single images in flight over all",
            _models_table(growth),
            growth.models,
        ),
    ]
    return "\n\n".join(f"### {title}\n\n{text}" for title, text, points in parts if points) + "\n"


def plot_growth(path: Path, growth: Growth, caption: str) -> None:
    """Draw throughput on the left, response times on the right, one line for each part."""
    parts = [
        *((partial(_plot_load, curve), curve.points) for curve in growth.load),
        (partial(_plot_rows, growth), growth.rows),
        (partial(_plot_models, growth), growth.models),
    ]
    drawn = [draw for draw, points in parts if points]
    figure, axes = plt.subplots(
        len(drawn), 2, figsize=(13, 0.6 + 4 * len(drawn)), squeeze=False, layout="constrained"
    )
    for draw, (left, right) in zip(drawn, axes, strict=True):
        draw(left, right)
        for axis in (left, right):
            axis.grid(color="#e4e4e4", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(fontsize=8, frameon=False)
    figure.supxlabel(caption, fontsize=8, color="#555555")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _load_tables(growth: Growth) -> str:
    return "\n\n".join(map(_load_table, growth.load))


def _load_table(curve: LoadCurve) -> str:
    last, goodput = curve.points[-1], curve.goodput
    return (
        f"{curve.title}: 100 % is the {curve.capacity:,.0f} requests/s that callers in turn get. "
        f"A call is in time when its right answer comes within "
        f"{1000 * curve.deadline:.0f} ms of when it was due.\n\n"
        f"{table(_LOAD_HEAD, map(_load_row, curve.points))}\n\n"
        f"Goodput at {last.share:.0%} of the capacity, "
        "in turns with the load where it was highest: "
        f"{statistics.median(goodput):.2f} of that ({min(goodput):.2f} to {max(goodput):.2f})."
    )


def _load_row(point: LoadPoint) -> list[str]:
    each = point.outcome
    counts = (each.offered, each.good, each.refused, each.expired, each.lost)
    return [
        f"{point.share:.0%}",
        *(f"{count:,.0f}" for count in counts),
        *(_time(value) for value in (each.p50, each.p99, each.refused_p50)),
        f"{point.server_cores:.2f}",
        f"{each.client_cores:.2f}",
        f"{point.other_cores:.2f}",
        _time(each.client_lag),
    ]


def _rows_table(growth: Growth) -> str:
    head = ("images", "images/s", "session alone", "ratio", "p50 ms", "p99 ms", "server cores",
            "others' cores", "server CPU µs/image")  # fmt: skip
    rows = [
        [
            str(point.rows),
            f"{point.figures.images_per_second:,.0f}",
            f"{point.session.images_per_second:,.0f}",
            f"{point.figures.images_per_second / point.session.images_per_second:.2f}",
            _time(point.figures.p50),
            _time(point.figures.p99),
            f"{point.figures.server_cores:.2f}",
            f"{point.figures.other_cores:.2f}",
            f"{1e6 * point.figures.server_cpu / point.rows:,.0f}",
        ]
        for point in growth.rows
    ]
    return table(head, rows)


def _models_table(growth: Growth) -> str:
    head = ("models", "requests/s", "p50 ms", "p99 ms", "server cores", "others' cores",
            "memory MiB", "start s")  # fmt: skip
    rows = [
        [
            str(point.models),
            f"{point.requests_per_second:,.0f}",
            _time(point.p50),
            _time(point.p99),
            f"{point.server_cores:.2f}",
            f"{point.other_cores:.2f}",
            f"{point.memory_mib:,.0f}",
            f"{point.start_seconds:.1f}",
        ]
        for point in growth.models
    ]
    return table(head, rows)


def _plot_load(curve: LoadCurve, left: Axes, right: Axes) -> None:
    outcomes = [point.outcome for point in curve.points]
    offered = [each.offered for each in outcomes]
    left.plot(offered, offered, color=FLOOR, linestyle=":", label="offered")
    left.plot(offered, [each.good for each in outcomes], color=OWN, marker="o", label="in time")
    left.plot(offered, [each.refused for each in outcomes], color=GRPC, marker=".", label="refused")
    left.plot(offered, [each.expired for each in outcomes], color=HTTP, marker=".", label="late")
    left.axvline(curve.capacity, color=FLOOR, linewidth=0.8, label="capacity")
    left.set_title(f"{curve.title}: what becomes of calls", fontsize=10)
    right.plot(offered, [each.p50 for each in outcomes], color=OWN, marker="o", label="p50 in time")
    right.plot(offered, [each.p99 for each in outcomes], color=OWN, marker="o", linestyle="--",
               label="p99 in time")  # fmt: skip
    right.plot(offered, [each.refused_p50 for each in outcomes], color=GRPC, marker=".",
               label="p50 until refused")  # fmt: skip
    right.axhline(1000 * curve.deadline, color=FLOOR, linewidth=0.8, label="deadline")
    right.axvline(curve.capacity, color=FLOOR, linewidth=0.8)
    right.set_yscale("log")
    right.set_title(f"{curve.title}: response times", fontsize=10)
    _label(left, right, "calls offered a second", "calls/s")


def _plot_rows(growth: Growth, left: Axes, right: Axes) -> None:
    rows = [point.rows for point in growth.rows]
    session = [point.session.images_per_second for point in growth.rows]
    left.plot(rows, session, color=FLOOR, marker=".", label="session alone")
    own = [point.figures.images_per_second for point in growth.rows]
    left.plot(rows, own, color=OWN, marker="o", label="evenface")
    left.set_ylim(bottom=0)
    left.set_title("Images in a request, 4 in flight", fontsize=10)
    right.plot(rows, [point.figures.p50 for point in growth.rows], color=OWN, marker="o",
               label="p50")  # fmt: skip
    right.plot(rows, [point.figures.p99 for point in growth.rows], color=OWN, marker="o",
               linestyle="--", label="p99")  # fmt: skip
    right.set_yscale("log")
    right.set_title("Images in a request: response times", fontsize=10)
    _label(left, right, "images in a request", "images/s")
    _powers(left, right, rows)


def _plot_models(growth: Growth, left: Axes, right: Axes) -> None:
    models = [point.models for point in growth.models]
    rates = [point.requests_per_second for point in growth.models]
    left.plot(models, rates, color=OWN, marker="o", label="evenface")
    left.set_ylim(bottom=0)
    left.set_title("Models loaded, 32 single images in flight", fontsize=10)
    right.plot(models, [point.p50 for point in growth.models], color=OWN, marker="o", label="p50")
    right.plot(models, [point.p99 for point in growth.models], color=OWN, marker="o",
               linestyle="--", label="p99")  # fmt: skip
    right.set_ylim(bottom=0)
    right.set_title("Models loaded: response times", fontsize=10)
    _label(left, right, "models", "requests/s")
    _powers(left, right, models)


def _label(left: Axes, right: Axes, across: str, rate: str) -> None:
    for axis, up in ((left, rate), (right, "ms")):
        axis.set_xlabel(across, fontsize=8)
        axis.set_ylabel(up, fontsize=8)
        axis.tick_params(labelsize=8)


def _powers(left: Axes, right: Axes, ticks: list[int]) -> None:
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, list(map(str, ticks)))


def _time(milliseconds: float) -> str:
    return "–" if milliseconds != milliseconds else f"{milliseconds:.1f}"  # noqa: PLR0124 - NaN
