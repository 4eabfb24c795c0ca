"""What rows of Parquet files are told by: their row groups, and what a page shows of one."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """A row group.

    Attributes:
        file: Its file.
        part: Number of the file's part, and so of its chunk; -1 for a file that is no part.
        group: Its number in the file.
        start: Number of its first row among all.
        first: Number of its first row in the file.
        rows: How many.
    """

    file: Path
    part: int
    group: int
    start: int
    first: int
    rows: int


@dataclass(frozen=True)
class Cell:
    """What a page shows of a row beside its numbers.

    Attributes:
        id: What the item is called.
        error: Why it has no mean; None where all is well.
        part: Number of its part; -1 where there is none.
        row: Its number in the part; -1 where there is none.
    """

    id: str
    error: str | None
    part: int = -1
    row: int = -1
