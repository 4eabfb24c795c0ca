"""What the page asks of a data set."""

from typing import Annotated

from pydantic import Field

from evenface_studio.asked import Asked
from evenface_studio.dataset.encoding import Rule
from evenface_studio.dataset.shown import Look
from evenface_studio.dataset.table import Errors, Filter, Order

MOST_A_PAGE = 120
_Share = Annotated[float, Field(ge=0, le=1)]
_Text = Annotated[str, Field(max_length=300)]


class Opening(Asked):
    """A place to open."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]


class Starting(Opening):
    """A folder to encode."""

    model: _Text = ""
    version: _Text = ""
    rule: Rule = "lab"
    least: _Share = 0.0


class Looking(Asked):
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
