"""How a classifier treats the groups of the held-out faces, counted by fairlearn's MetricFrame."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenface_training.metrics import Logits, wilson_interval

Texts = NDArray[np.str_]

SMALL = 30  # fewer faces say little of a rate
SHOWN = 60  # groups of a column, the largest
FALSE_POSITIVES = 0.01
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
        at_half: True positive rate at probability 0.5; None where the model does not classify.
        at_one_percent: The same at the threshold that 1 % of the non-faces pass.
    """

    name: str
    count: int
    at_half: Rate | None
    at_one_percent: Rate | None

    @property
    def small(self) -> bool:
        """Whether there are too few faces for a rate that says much."""
        return self.count < SMALL


@dataclass(frozen=True)
class Spread:
    """How the true positive rate at 0.5 or at 1 % differs between groups that are not small.

    Attributes:
        at: Which of the two.
        mean: Unweighted mean over groups (E[A] of Amini et al. 2019).
        variance: Its population variance in squared percentage points (their Var[A]).
        worst: The lowest rate.
        gap: The highest less the lowest rate.
    """

    at: str
    mean: float
    variance: float
    worst: float
    gap: float


@dataclass(frozen=True)
class GroupTable:
    """The groups of one label column, or of two at once.

    Attributes:
        title: The columns, such as `tone × gender`.
        groups: The largest first.
        left_out: How many smaller groups are not shown.
        spreads: Over groups that are not small; empty where fewer than two are large enough.
    """

    title: str
    groups: Sequence[Group]
    left_out: int
    spreads: Sequence[Spread]


def tabulate_groups(
    columns: Mapping[str, Texts], logits: Logits | None, threshold: float
) -> list[GroupTable]:
    """Count held-out faces and true positives by column and by every two columns.

    Args:
        columns: Label columns, each [V]; "" is unknown, and such a face is in no group of it.
        logits: [V], of the same faces; None where the model does not classify.
        threshold: On the logit, for 1 % false positives.

    Returns:
        A table for each column and each two that have a group.
    """
    chosen = [(name,) for name in columns] + list(combinations(columns, 2))
    tables = (
        _table({name: columns[name] for name in names}, logits, threshold) for names in chosen
    )
    return [table for table in tables if table.groups]


def _table(columns: Mapping[str, Texts], logits: Logits | None, threshold: float) -> GroupTable:
    known = np.all([texts != _UNKNOWN for texts in columns.values()], axis=0)
    names = [
        ", ".join(f"{column}={value}" for column, value in zip(columns, values, strict=True))
        for values in zip(*(texts[known].tolist() for texts in columns.values()), strict=True)
    ]
    sizes = Counter(names)
    large = sum(size >= SMALL for size in sizes.values())
    kept = dict(sizes.most_common(max(large, SHOWN)))
    groups: list[Group] = []
    spreads: list[Spread] = []
    if kept and logits is None:
        groups = [Group(name, size, None, None) for name, size in kept.items()]
    elif kept and logits is not None:
        thresholds = {"at_half": 0.0, "at_one_percent": threshold}
        frames = {name: _frame(logits[known] >= at, names, kept) for name, at in thresholds.items()}
        groups = [_group(name, frames) for name in kept]
        spreads = list(_spreads(frames))
    left_out = len(sizes) - min(len(sizes), SHOWN)
    return GroupTable(" × ".join(columns), groups[:SHOWN], left_out, spreads)


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


def _group(name: str, frames: Mapping[str, Any]) -> Group:
    half, one = (frames[key].by_group.loc[name] for key in ("at_half", "at_one_percent"))
    count = int(half["count"])
    return Group(name, count, Rate.of(half["rate"], count), Rate.of(one["rate"], count))


def _spreads(frames: Mapping[str, Any]) -> Iterator[Spread]:
    titles = {"at_half": "at 0.5", "at_one_percent": "at 1 % false positives"}
    for name, frame in frames.items():
        by_group = frame.by_group
        rates = by_group["rate"][by_group["count"] >= SMALL].to_numpy(np.float64)
        if len(rates) > 1:
            yield Spread(
                at=titles[name],
                mean=float(rates.mean()),
                variance=float((100 * rates).var()),
                worst=float(rates.min()),
                gap=float(np.ptp(rates)),
            )
