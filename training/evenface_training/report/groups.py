"""How a classifier treats the groups of the held-out faces, counted by fairlearn's MetricFrame."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from evenface_core.intervals import wilson_interval
from numpy.typing import NDArray

from evenface_training.groups import Spread, spread

Texts = NDArray[np.str_]
Bools = NDArray[np.bool_]

SMALL = 30  # fewer faces say little of a rate
SHOWN = 60  # groups of a column, the largest
_UNKNOWN = ""


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, count: int) -> "Rate":
        """The share that was seen in `count` items."""
        return cls(value, *wilson_interval(value, count))


@dataclass(frozen=True)
class Group:
    """Held-out faces that have one value of each of some label columns.

    Attributes:
        name: Such as `tone=gray` or `tone=gray, gender=F`.
        count: Faces.
        rates: True positive rates by trial; empty where the model does not classify.
    """

    name: str
    count: int
    rates: Mapping[str, Rate]

    @property
    def small(self) -> bool:
        """Whether there are too few faces for a rate that says much."""
        return self.count < SMALL


@dataclass(frozen=True)
class Differences:
    """How the true positive rates of a trial differ between groups that are not small.

    Attributes:
        trial: Name of the trial.
        spread: Mean, variance and the lowest.
        gap: The highest less the lowest rate.
    """

    trial: str
    spread: Spread
    gap: float


@dataclass(frozen=True)
class GroupTable:
    """The groups of one label column, or of two at once.

    Attributes:
        title: The columns, such as `tone × gender`.
        crossed: Whether there are two.
        groups: The largest first.
        left_out: How many smaller groups are not shown.
        differences: By trial; empty where fewer than two groups are large enough.
    """

    title: str
    crossed: bool
    groups: Sequence[Group]
    left_out: int
    differences: Sequence[Differences]


def tabulate_groups(columns: Mapping[str, Texts], trials: Mapping[str, Bools]) -> list[GroupTable]:
    """Count held-out faces and true positives by column and by every two columns.

    Args:
        columns: Label columns, each [V]; "" is unknown, and such a face is in no group of it.
        trials: By name, bool [V]: which of the same faces were taken for faces. None where the
            model does not classify.

    Returns:
        A table for each column and each two that have a group.
    """
    chosen = [(name,) for name in columns] + list(combinations(columns, 2))
    tables = (_table({name: columns[name] for name in names}, trials) for names in chosen)
    return [table for table in tables if table.groups]


def _table(columns: Mapping[str, Texts], trials: Mapping[str, Bools]) -> GroupTable:
    known = np.all([texts != _UNKNOWN for texts in columns.values()], axis=0)
    names = [
        ", ".join(f"{column}={value}" for column, value in zip(columns, values, strict=True))
        for values in zip(*(texts[known].tolist() for texts in columns.values()), strict=True)
    ]
    sizes = Counter(names)
    large = sum(size >= SMALL for size in sizes.values())
    kept = dict(sizes.most_common(max(large, SHOWN)))
    frames = {
        trial: _frame(recognised[known], names, kept)
        for trial, recognised in trials.items()
        if kept
    }
    return GroupTable(
        title=" × ".join(columns),
        crossed=len(columns) > 1,
        groups=[_group(name, count, frames) for name, count in list(kept.items())[:SHOWN]],
        left_out=max(0, len(sizes) - SHOWN),
        differences=list(_differences(frames)),
    )


def _frame(recognised: NDArray[np.bool_], names: Sequence[str], kept: Collection[str]) -> Any:  # noqa: ANN401
    """Faces and true positive rate of each group that is kept, a MetricFrame.

    Args:
        recognised: bool [K].
        names: K names, the group of each.
        kept: The groups to count.
    """
    # Imported here, because it takes seconds that only a report needs.
    from fairlearn.metrics import MetricFrame, count, true_positive_rate  # noqa: PLC0415

    chosen = [row for row, name in enumerate(names) if name in kept]
    return MetricFrame(
        metrics={"count": count, "rate": true_positive_rate},
        y_true=np.ones(len(chosen), np.int64),
        y_pred=recognised[chosen].astype(np.int64),
        sensitive_features=[names[row] for row in chosen],
    )


def _group(name: str, count: int, frames: Mapping[str, Any]) -> Group:
    rates = {
        trial: Rate.of(float(frame.by_group["rate"].loc[name]), count)
        for trial, frame in frames.items()
    }
    return Group(name, count, rates)


def _differences(frames: Mapping[str, Any]) -> Iterator[Differences]:
    for trial, frame in frames.items():
        large = frame.by_group[frame.by_group["count"] >= SMALL]
        rates = {str(name): float(rate) for name, rate in large["rate"].items()}
        if len(rates) > 1:
            yield Differences(trial, spread(rates), max(rates.values()) - min(rates.values()))
