"""The median of several measurements of one thing."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


def median(values: Sequence[Value]) -> Value:
    """The median of each figure of a dataclass by itself, also in dataclasses within it.

    Of what is no figure, the first.
    """
    found = {
        item.name: _middle([getattr(value, item.name) for value in values])
        for item in dataclasses.fields(values[0])
    }
    return dataclasses.replace(values[0], **found)


def _middle(values: Sequence[Any]) -> Any:  # noqa: ANN401 - what a field may hold
    if dataclasses.is_dataclass(values[0]):
        return median(values)
    if not isinstance(values[0], float):
        return values[0]
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan
