"""Counters, gauges and histograms of one process, whose changes can be taken out and added up.

Transport-free. They are plain numbers that the event loop's thread alone changes, because every
call changes a dozen of them: `totals` adds up what several processes have counted, and shows it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

Labels = tuple[str, ...]
# By metric: label values, and the change. That of a counter is how much it has grown, that of a
# histogram how much its sum and each of its buckets have; that of a gauge is its value, or nothing
# once it is removed.
Changes = Mapping[str, Sequence[tuple[Sequence[str], Sequence[float]]]]


class _Growing:
    """What only ever grows: only the growth is taken out."""

    __slots__ = ("_taken", "values")

    def __init__(self, size: int) -> None:
        self.values = [0.0] * size
        self._taken: list[float] | None = None

    def take(self) -> list[float] | None:
        """Return the growth since the last time; None where there is none."""
        if self.values == self._taken:
            return None
        before = self._taken or [0.0] * len(self.values)
        self._taken = list(self.values)
        return [now - then for now, then in zip(self.values, before, strict=True)]


class Counter(_Growing):
    """Counts."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def inc(self, amount: float = 1.0) -> None:
        """Count so many more."""
        self.values[0] += amount


class Histogram(_Growing):
    """Counts values by size.

    Args:
        bounds: Upper bounds of the buckets, growing; a last one takes what is above.
    """

    __slots__ = ("_bounds",)

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(len(bounds) + 2)
        self._bounds = bounds

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, or several that are the same."""
        values = self.values
        values[0] += value * times
        values[1 + bisect_left(self._bounds, value)] += times

    @property
    def total(self) -> float:
        """Sum of all values."""
        return self.values[0]

    @property
    def count(self) -> int:
        """How many values."""
        return int(sum(self.values[1:]))


class Gauge:
    """Has a value."""

    __slots__ = ("_taken", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._taken: float | None = None

    def set(self, value: float) -> None:
        """Change the value."""
        self.value = value

    def take(self) -> list[float] | None:
        """Return the value; None where it has not changed since the last time."""
        if self.value == self._taken:
            return None
        self._taken = self.value
        return [self.value]


Instrument = TypeVar("Instrument", bound=Counter | Gauge | Histogram)


class Family(Generic[Instrument]):
    """A metric: one instrument for each combination of label values.

    Args:
        kind: Of its instruments.
        name: Of the metric, without the suffixes of its series.
        text: What it means.
        labels: Names of its labels.
        make: Makes an instrument.

    Attributes:
        bounds: Of the buckets of a histogram.
        across: Makes one value of those that several processes have for a gauge.
    """

    def __init__(
        self,
        kind: Literal["counter", "gauge", "histogram"],
        name: str,
        text: str,
        labels: Labels,
        make: Callable[[], Instrument],
    ) -> None:
        self.kind: Final = kind
        self.name: Final = name
        self.text: Final = text
        self.label_names: Final = labels
        self.bounds: tuple[float, ...] = ()
        self.across: Callable[[Iterable[float]], float] = sum
        self._make = make
        self._instruments: dict[Labels, Instrument] = {}
        self._removed: list[tuple[Labels, list[float]]] = []

    def labels(self, *values: str) -> Instrument:
        """Return the instrument of some label values, made when first asked for."""
        instrument = self._instruments.get(values)
        if instrument is None:
            instrument = self._instruments[values] = self._make()
        return instrument

    def clear(self) -> None:
        """Let go of all instruments: gauges are shown no more, what others have counted stays."""
        for values, instrument in self._instruments.items():
            change = None if self.kind == "gauge" else instrument.take()
            self._removed.append((values, change or []))
        self._instruments.clear()

    def take(self) -> list[tuple[Labels, list[float]]]:
        """Return what has changed since the last time."""
        changes, self._removed = self._removed, []
        for values, instrument in self._instruments.items():
            change = instrument.take()
            if change is not None:
                changes.append((values, change))
        return changes


class Instruments:
    """The metrics of a process, by name."""

    def __init__(self) -> None:
        self.families: list[Family[Any]] = []

    def counter(self, name: str, text: str, *labels: str) -> Family[Counter]:
        """Define a counter."""
        family = Family("counter", name, text, labels, Counter)
        self.families.append(family)
        return family

    def gauge(
        self, name: str, text: str, *labels: str, across: Callable[[Iterable[float]], float] = sum
    ) -> Family[Gauge]:
        """Define a gauge; `across` makes one value of those that several processes have."""
        family = Family("gauge", name, text, labels, Gauge)
        family.across = across
        self.families.append(family)
        return family

    def histogram(
        self, name: str, text: str, bounds: tuple[float, ...], *labels: str
    ) -> Family[Histogram]:
        """Define a histogram."""
        family = Family("histogram", name, text, labels, lambda: Histogram(bounds))
        family.bounds = bounds
        self.families.append(family)
        return family

    def take(self) -> Changes:
        """Return what has changed since the last time."""
        taken = ((family.name, family.take()) for family in self.families)
        return {name: changes for name, changes in taken if changes}
