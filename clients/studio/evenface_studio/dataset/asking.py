"""What the page asks of a data set, checked."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evenface_studio.dataset.encoding import Rule
from evenface_studio.dataset.shown import Look
from evenface_studio.dataset.table import Errors, Filter, Order
from evenface_studio.problems import StudioError

MOST_A_PAGE = 120
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=300)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Opening(_Asked):
    """A place to open."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]


class Starting(Opening):
    """A folder to encode."""

    model: _Text = ""
    version: _Text = ""
    rule: Rule = "lab"
    least: _Share = 0.0


class Looking(_Asked):
    """Rows to look at; see `Filter` and `Look`."""

    low: _Share = 0.0
    high: _Share = 1.0
    rare_low: _Share = 0.0
    rare_high: _Share = 1.0
    errors: Errors = "hide"
    labels: Annotated[dict[str, str], Field(max_length=20)] = Field(default_factory=dict)
    text: _Text = ""
    order: Order = "rarest"
    column: _Text = ""
    page: Annotated[int, Field(ge=0, le=10**9)] = 0
    size: Annotated[int, Field(ge=1, le=MOST_A_PAGE)] = 60
    form: Annotated[str, Field(pattern="^(parquet|csv)$")] = "parquet"

    @property
    def look(self) -> Look:
        """The same as the table has it."""
        chosen = Filter(
            (self.low, self.high),
            (self.rare_low, self.rare_high),
            self.errors,
            tuple(sorted(self.labels.items())),
        )
        return Look(chosen, self.text, self.order)


Asked = TypeVar("Asked", bound=_Asked)


def asked(kind: type[Asked], values: Mapping[str, Any]) -> Asked:
    """Check what the page has sent.

    Raises:
        StudioError: Names the first field that is wrong, its value and its limit.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, first["loc"])) or "request"
        given = str(first["input"])[:100]
        raise _wrong(f"{name}: {first['msg']}, not {given!r}.") from error


def looking(query: Mapping[str, str]) -> Looking:
    """Check the query of a request for rows; `labels` is JSON there.

    Raises:
        StudioError: As `asked`.
    """
    values: dict[str, Any] = dict(query)
    if "labels" in values:
        try:
            values["labels"] = json.loads(values["labels"])
        except (ValueError, RecursionError) as error:
            raise _wrong("labels: is no JSON.") from error
    return asked(Looking, values)


def _wrong(detail: str) -> StudioError:
    return StudioError("This cannot be asked for", detail, "Change it, and try again.")
