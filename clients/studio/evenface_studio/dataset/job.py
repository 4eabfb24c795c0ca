"""What a job of `evenface-batch` says of itself: its model, how many parts, where its images are.

`docs/batch.md` has the form. The images' places are read from the listing.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evenface_studio.dataset.inside import Shard, Table
from evenface_studio.dataset.roots import JOB_FILE

UNKNOWN = "the data set does not say where its images are"
LISTING_FILE = "listing.jsonl.gz"
_MOST_PLAN = 2**20  # bytes
_MOST_LINE = 2**27
_MOST_LINES = 1_000_000
_MOST_PIECES = 50_000  # of shards and tables whose places are held, with some 200 bytes each

# Of all lines of a shard it is one and the same.
_Text = Annotated[str, BeforeValidator(lambda text: sys.intern(str(text)))]
_Number = Annotated[int, Field(ge=0, lt=2**62)]


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Model(_Lenient):
    name: str = Field(max_length=200)
    version: str = Field(max_length=200)


class _Listing(_Lenient):
    chunks: int = Field(ge=0)


class JobPlan(_Lenient):
    """The part of `job.json` that matters here.

    Attributes:
        model: Name and version of what scored.
        listing: How many parts there should be.
    """

    model: _Model
    listing: _Listing


def read_plan(folder: Path) -> JobPlan | None:
    """Read `job.json`; None where it is not there or is no plan."""
    try:
        with _plain(folder / JOB_FILE).open("rb") as file:
            return JobPlan.model_validate_json(file.read(_MOST_PLAN))
    except (OSError, ValidationError):
        return None


class _ShardLine(_Lenient):
    url: _Text
    prefix: _Text
    offset: _Number


class _TableLine(_Lenient):
    url: _Text
    prefix: _Text
    column: _Text
    id_column: _Text | None
    first: _Number


def local(url: str) -> Path | None:
    """The path of what is on this machine; None for what is elsewhere."""
    url = url.removeprefix("file://")
    return None if "://" in url or not url.startswith("/") else Path(url)


@dataclass(frozen=True)
class Files:
    """Images that are files of their own.

    Attributes:
        base: What names are joined to, unless they are absolute.
        prefix: What the ids begin with.
    """

    base: str
    prefix: str

    def path(self, name: str) -> Path | None:
        """The file of an id; None where it has none on this machine."""
        if not name.startswith(self.prefix):
            return None
        return local(beside(self.base, name[len(self.prefix) :]))


def beside(base: str, name: str) -> str:
    """A name below a base, unless it is absolute or a URL."""
    return name if name.startswith("/") or "://" in name else base + name


@dataclass(frozen=True)
class Unheld:
    """Images of which nothing more is known.

    Attributes:
        why: There is no more.
    """

    why: str


Origin = Files | Shard | Table | Unheld


@dataclass(frozen=True)
class Origins:
    """Where the images of all chunks are.

    Attributes:
        different: The different origins.
        by_chunk: Place in `different`, by number of the chunk.
    """

    different: tuple[Origin, ...] = ()
    by_chunk: list[int] = field(default_factory=list, repr=False)

    def of(self, chunk: int) -> Origin | None:
        """The origin of a chunk's images; None where the listing does not say."""
        if not 0 <= chunk < len(self.by_chunk):
            return None
        return self.different[self.by_chunk[chunk]]


def read_origins(folder: Path) -> Origins:
    """Read a job's listing, a line at a time; empty where it cannot be read to its end."""
    different: dict[Origin, int] = {}
    by_chunk: list[int] = []
    try:
        with gzip.open(_plain(folder / LISTING_FILE), "rb") as file:
            while line := file.readline(_MOST_LINE):
                if len(by_chunk) == _MOST_LINES:
                    return Origins()
                origin = _origin(json.loads(line), held=len(different) < _MOST_PIECES)
                by_chunk.append(different.setdefault(origin, len(different)))
    except (OSError, EOFError, zlib.error):
        return Origins()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # of a line
        return Origins()
    return Origins(tuple(different), by_chunk)


def _origin(line: Mapping[str, Any], *, held: bool) -> Origin:
    match line["kind"]:
        case "files":
            return Files(str(line["base"]), str(line["prefix"]))
        case "shard" | "table" if not held:
            return Unheld("in too many shards or tables; see the job's page.html")
        case "shard":
            return Shard(**vars(_ShardLine.model_validate(line)))
        case "table":
            return Table(**vars(_TableLine.model_validate(line)))
    return Unheld(UNKNOWN)


def _plain(path: Path) -> Path:
    """The path of a file that is no pipe, which might never end.

    Nor is it a link, which may lead to where the studio must not look.

    Raises:
        OSError: It is none.
    """
    if path.is_symlink() or not path.is_file():
        raise FileNotFoundError(2, "is no plain file", str(path))
    return path
