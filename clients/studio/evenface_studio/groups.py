"""How models treat groups of held-out faces, side by side, with what chance allows for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

from evenface_client import GroupQuality, ModelDetails
from evenface_core.intervals import wilson_interval

from evenface_studio.told import nonsense

SMALL = 50  # held-out faces below which a rate says little: its interval is 7 points and more wide
_PAIR = 2


@dataclass(frozen=True)
class Treatment:
    """How one model treats one group.

    Attributes:
        count: Held-out faces of the group.
        recognised: Of these, taken for faces; None where the model does not classify.
        rate: The share of them; None as above.
        low: Lower end of its 95 % interval (Wilson 1927); None as above.
        high: Upper end.
        is_small: Whether there are too few to tell much.
        share: Share of the group among the training faces.
        weighted_share: Share of the resampling weight it gets; None without latents.
        raised: How many times its share that is; None without latents or training faces.
    """

    count: int
    recognised: int | None
    rate: float | None
    low: float | None
    high: float | None
    is_small: bool
    share: float
    weighted_share: float | None
    raised: float | None


@dataclass(frozen=True)
class Difference:
    """The second model's rate less the first's, with the interval of Newcombe 1998, method 10.

    Attributes:
        value: The difference, -1 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        is_beyond_chance: Whether 0 is outside the interval.
    """

    value: float
    low: float
    high: float
    is_beyond_chance: bool


@dataclass(frozen=True)
class Group:
    """A group, and how each model treats it.

    Attributes:
        column: The label column.
        value: Its value.
        models: In the order of the models; None where one does not know the group.
        difference: Of two models' rates; None where there are no two.
    """

    column: str
    value: str
    models: tuple[Treatment | None, ...]
    difference: Difference | None


@dataclass(frozen=True)
class Spread:
    """Figures over all groups of a model that have a rate, each counting alike.

    Attributes:
        mean: Of the rates.
        variance: Of the rates in per cent, percent².
        worst: The lowest rate.
        worst_group: Whose that is, as "column = value".
        groups: How many.
    """

    mean: float
    variance: float
    worst: float
    worst_group: str
    groups: int


def treatment(group: GroupQuality) -> Treatment:
    """What a bundle says of a group, with its interval.

    Raises:
        StudioError: Its rate is none.
    """
    rate = group.true_positive_rate if group.count else None
    if rate is not None and not 0 <= rate <= 1:
        raise nonsense(f"a rate of {rate:g} for {group.column} = {group.value}")
    low, high = (None, None) if rate is None else wilson_interval(rate, group.count)
    weighted = group.weighted_share
    return Treatment(
        count=group.count,
        recognised=None if rate is None else round(rate * group.count),
        rate=rate,
        low=low,
        high=high,
        is_small=group.count < SMALL,
        share=group.share,
        weighted_share=weighted,
        raised=None if weighted is None or not group.share else weighted / group.share,
    )


def side_by_side(models: Sequence[ModelDetails]) -> list[Group]:
    """The groups of one or two models, in the order of their first mention."""
    known: list[Mapping[tuple[str, str], Treatment]] = [
        {(group.column, group.value): treatment(group) for group in model.groups}
        for model in models
    ]
    names = dict.fromkeys(name for groups in known for name in groups)
    return [
        Group(*name, treated := tuple(groups.get(name) for groups in known), _difference(treated))
        for name in names
    ]


def spread(groups: Sequence[GroupQuality]) -> Spread | None:
    """Figures over groups; None where none has a rate."""
    rates = {
        f"{group.column} = {group.value}": group.true_positive_rate
        for group in groups
        if group.true_positive_rate is not None and group.count
    }
    if not rates:
        return None
    worst = min(rates, key=lambda name: rates[name])
    percent = [100 * rate for rate in rates.values()]
    return Spread(fmean(rates.values()), pvariance(percent), rates[worst], worst, len(rates))


def same_images(models: Sequence[ModelDetails]) -> bool:
    """Whether models were judged by the same held-out images, as far as bundles tell."""
    digests = {model.info.provenance.get("data_digest") for model in models}
    return len(digests) == 1 and digests != {None}


def _difference(treated: Sequence[Treatment | None]) -> Difference | None:
    if len(treated) != _PAIR or treated[0] is None or treated[1] is None:
        return None
    first, second = treated[0], treated[1]
    if (
        first.rate is None or first.low is None or first.high is None
        or second.rate is None or second.low is None or second.high is None
    ):  # fmt: skip
        return None
    value = second.rate - first.rate
    low = value - math.hypot(second.rate - second.low, first.high - first.rate)
    high = value + math.hypot(second.high - second.rate, first.rate - first.low)
    return Difference(value, low, high, low > 0 or high < 0)
