"""From numbers to lines and bars: coordinates in an SVG's user units, which the templates draw.

Colours and fonts are the style sheet's affair, so that charts follow the reader's light or dark
scheme. Values that are not finite are left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.ticker import MaxNLocator

from evenface_training.report.groups import Rate

Points = Sequence[tuple[float, float]]

WIDTH = 340.0
_HEIGHT = 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 8.0, 8.0, 34.0
_LEAST_SPAN = 0.001  # of the values: less is noise, and its ticks have too many digits
_MOST_POINTS = 300
_DOTTED = 40  # more points than this need no dots
_BAR, _GAP, _TITLE = 11.0, 9.0, 17.0
_BARS_LEFT, _BARS_RIGHT = 4.0, 66.0
_LONGEST = 48


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: For the legend.
        style: 1 to 6, its colour; then dashed.
        path: Of SVG.
        dots: Centres, with what a dot says when it is pointed at.
    """

    name: str
    style: int
    dashed: bool
    path: str = field(repr=False)
    dots: Sequence[tuple[float, float, str]] = field(repr=False)


@dataclass(frozen=True)
class LineChart:
    """Lines over epochs or steps.

    Attributes:
        title: What is drawn.
        summary: The same in words, first and last value of each line.
        height: Of the view box.
        x_ticks: Places and texts.
        y_ticks: Places and texts.
        x_label: What runs to the right.
        lines: What is drawn.
        named: Whether there is more than one line to tell apart, here or in charts like this.
    """

    title: str
    summary: str
    height: float
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    x_label: str
    lines: Sequence[Line]
    named: bool


def line_chart(title: str, lines: Mapping[str, Points], x_label: str = "epoch") -> LineChart | None:
    """Draw lines.

    Args:
        title: What is drawn.
        lines: By name, points (x, y) in order of x. Its place decides on a line's colour, so that
            a run without points keeps the colours of the others as they are.
        x_label: What runs to the right.

    Returns:
        The chart; None where there is no point.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in lines.items()
    }
    known = {name: _thinned(points) for name, points in finite.items() if points}
    places = {name: place for place, name in enumerate(lines)}
    if not known:
        return None
    values = [point for points in known.values() for point in points]
    x_axis = _Axis.around([x for x, _ in values], _LEFT, WIDTH - _RIGHT, whole=True)
    y_axis = _Axis.around([y for _, y in values], _HEIGHT - _BOTTOM, _TOP)
    return LineChart(
        title=title,
        summary=f"{title} by {x_label}. " + " ".join(map(_in_words, known, known.values())),
        height=_HEIGHT,
        x_ticks=x_axis.ticks,
        y_ticks=y_axis.ticks,
        x_label=x_label,
        lines=[
            _line(name, places[name], [(x_axis.place(x), y_axis.place(y), x, y) for x, y in points])
            for name, points in known.items()
        ],
        named=len(lines) > 1,
    )


@dataclass(frozen=True)
class Bar:
    """A group's rate in one run.

    Attributes:
        run: Name of the run.
        style: Of the run, 1 to 6.
        dashed: Whether the run shares its colour with another and is told apart by hatching.
        top: Upper edge.
        end: Where the bar ends, or where the dot is.
        low: Where the interval begins.
        high: Where it ends.
        value: The rate.
        text: The same with run and interval.
        small: Whether the group has few faces.
    """

    run: str
    style: int
    dashed: bool
    top: float
    end: float
    low: float
    high: float
    value: str
    text: str
    small: bool


@dataclass(frozen=True)
class RunKey:
    """An entry of a legend."""

    name: str
    style: int
    dashed: bool


@dataclass(frozen=True)
class BarChart:
    """Rates of groups, a block for each group and in it a bar for each run.

    Attributes:
        title: What is drawn.
        summary: The same in words.
        height: Of the view box.
        left: Where the scale begins.
        ticks: Places and texts of the scale.
        names: Height, short and whole name of each group.
        bars: What is drawn.
        legend: The runs.
        zoomed: Whether the scale does not begin at 0; then dots are drawn in place of bars.
    """

    title: str
    summary: str
    height: float
    left: float
    ticks: Sequence[tuple[float, str]]
    names: Sequence[tuple[float, str, str]]
    bars: Sequence[Bar]
    legend: Sequence[RunKey]
    zoomed: bool


RatesByRun = Mapping[str, tuple[Rate, bool]]


def bar_chart(
    title: str, groups: Mapping[str, RatesByRun], runs: Sequence[str], *, zoomed: bool
) -> BarChart:
    """Draw rates with their intervals.

    Args:
        title: What is drawn.
        groups: By group, by run: the rate, and whether the group is small.
        runs: All runs in order, which gives them their colours.
        zoomed: Begin the scale just below the lowest interval, not at 0.
    """
    rates = [rate for by_run in groups.values() for rate, _ in by_run.values()]
    begin = _floor(min(rate.low for rate in rates)) if zoomed else 0.0
    axis = _Axis(begin, 1.0, _BARS_LEFT, WIDTH - _BARS_RIGHT)
    top, names, bars = 2.0, [], []
    for group, by_run in groups.items():
        names.append((top + _TITLE - 3, _short(group), group))
        top += _TITLE
        for run in runs:
            if run in by_run:
                rate, small = by_run[run]
                bars.append(_bar(run, runs.index(run), top, axis, rate, small=small))
                top += _BAR + 1
        top += _GAP
    return BarChart(
        title=title,
        summary=f"True positive rates. {title}. "
        + " ".join(f"{group}: {_told(known)}." for group, known in groups.items()),
        height=top + 18,
        left=_BARS_LEFT,
        ticks=[(axis.place(value), f"{100 * value:g} %") for value in _ticks(begin, 1.0, 4)],
        names=names,
        bars=bars,
        legend=[RunKey(run, *_style(place)) for place, run in enumerate(runs)],
        zoomed=zoomed,
    )


def number(value: float) -> str:
    """A figure as short as it stays useful."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.5f}" if abs(value) < 10 else f"{value:,.2f}"  # noqa: PLR2004


def percent(value: float) -> str:
    """A share in percent, with one decimal."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "–"


@dataclass(frozen=True)
class _Axis:
    """A linear scale from values to places."""

    low: float
    high: float
    first: float
    last: float
    whole: bool = False

    @classmethod
    def around(
        cls, values: Sequence[float], first: float, last: float, *, whole: bool = False
    ) -> "_Axis":
        low, high = min(values), max(values)
        least = _LEAST_SPAN * (max(abs(low), abs(high)) or 1.0)
        # Downwards, because what hardly changes is mostly at its ceiling, as an AUC at 1.
        return cls(min(low, high - least), high, first, last, whole)

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        found = _ticks(self.low, self.high, 5, whole=self.whole)
        return [(self.place(value), f"{value:.10g}") for value in found]


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    values = MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low)
    return [float(np.round(v, 12)) for v in values if low - slack <= v <= high + slack]


def _floor(value: float) -> float:
    """Down to the next whole twentieth, but always below 1."""
    return min(math.floor(20 * value) / 20, 0.95)


def _thinned(points: Points) -> Points:
    if len(points) <= _MOST_POINTS:
        return points
    chosen = np.unique(np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int))
    return [points[place] for place in chosen]


def _line(name: str, place: int, points: Sequence[tuple[float, float, float, float]]) -> Line:
    style, dashed = _style(place)
    path = "M" + "L".join(f"{left:g} {top:g}" for left, top, _, _ in points)
    dots = [(left, top, f"{name}, {x:g}: {number(y)}") for left, top, x, y in points]
    return Line(name, style, dashed, path, dots if len(points) <= _DOTTED else [])


def _style(place: int) -> tuple[int, bool]:
    """Six colours, and then the same again in another manner."""
    return place % 6 + 1, place // 6 % 2 == 1


def _bar(run: str, place: int, top: float, axis: _Axis, rate: Rate, *, small: bool) -> Bar:
    style, dashed = _style(place)
    low, high = (axis.place(value) for value in (rate.low, rate.high))
    text = f"{run}: {percent(rate.value)} ({percent(rate.low)} to {percent(rate.high)})"
    end, value = axis.place(rate.value), percent(rate.value)
    return Bar(run, style, dashed, top, end, low, high, value, text, small)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _told(by_run: RatesByRun) -> str:
    return ", ".join(f"{run} {percent(rate.value)}" for run, (rate, _) in by_run.items())


def _in_words(name: str, points: Points) -> str:
    return f"{name}: from {number(points[0][1])} to {number(points[-1][1])}."
