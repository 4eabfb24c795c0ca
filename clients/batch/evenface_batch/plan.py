"""What a job is, as `job.json` keeps it: a job that is resumed must be the same one."""

import json
from collections.abc import Collection
from typing import Literal, Self

from evenface_core.config import parse
from evenface_core.errors import ConfigError, JobError
from pydantic import BaseModel, ConfigDict, Field

from evenface_batch.output import Folder, reason_of
from evenface_batch.parts import SCHEMA_VERSION, Form, Precision

PLAN_FILE = "job.json"
MAX_CHUNK = 1_000_000
Kind = Literal["images", "webdataset", "parquet", "list"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFacts(_Part):
    """The model that scores.

    Attributes:
        name: Its name.
        version: Its version.
        digest: SHA-256 of its bundle's manifest, hexadecimal; "" of a service that does not say.
        latent_size: D, at least 1.
        classifies: Whether it tells face from non-face.
    """

    name: str
    version: str
    digest: str
    latent_size: int = Field(ge=1)
    classifies: bool

    @classmethod
    def of(
        cls, where: str, functions: Collection[str], *,
        name: str, version: str, digest: str, latent_size: int,
    ) -> Self:  # fmt: skip
        """The facts of a model with these functions.

        Args:
            where: What it is called in the error.
            functions: What it can do.
            name: Its name.
            version: Its version.
            digest: As in `ModelFacts`.
            latent_size: D.

        Raises:
            JobError: It cannot encode.
        """
        if "encode" not in functions:
            known = ", ".join(sorted(functions))
            raise JobError(f"{where}: this model cannot encode; it can {known}")
        return cls(
            name=name,
            version=version,
            digest=digest,
            latent_size=latent_size,
            classifies="classify" in functions,
        )


class ListingFacts(_Part):
    """What there is to score.

    Attributes:
        digest: SHA-256 of the listing, hexadecimal.
        chunks: How many chunks, and so parts.
        items: How many items; None where shards say that only as they are read.
    """

    digest: str
    chunks: int = Field(ge=0)
    items: int | None = Field(ge=0)


class InputFacts(_Part):
    """What was asked for as input.

    Attributes:
        urls: Paths (made absolute) and URLs.
        kind: What they are; None where that was left to be found out.
        column: Of Parquet and CSV: with images or paths.
        id_column: Of Parquet: with ids; None is file and row.
    """

    urls: tuple[str, ...]
    kind: Kind | None
    column: str | None
    id_column: str | None


class Plan(_Part):
    """A job.

    Attributes:
        schema_version: Of the parts and of this file.
        input: What was asked for.
        model: What scores it.
        dtype: Of the means.
        chunk_size: Most items a chunk, but where a file cannot be read in pieces.
        listing: What was found.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    input: InputFacts
    model: ModelFacts
    dtype: Precision
    chunk_size: int = Field(ge=1, le=MAX_CHUNK)
    listing: ListingFacts

    @property
    def form(self) -> Form:
        """Of the parts."""
        return Form(self.model.latent_size, self.dtype)

    def require_same(self, other: Self, where: str) -> None:
        """Check that a job to be resumed was asked for as it was begun.

        Listings are not compared, nor is a digest that a service does not say.

        Raises:
            JobError: Names the first difference.
        """
        begun, wanted = _flat(self), _flat(other)
        unsaid = {"model.digest"} if "" in {self.model.digest, other.model.digest} else set()
        for key, value in begun.items():
            if wanted[key] != value and key not in unsaid:
                raise JobError(
                    f"{where}: this job was begun with {key} {value!r}, not {wanted[key]!r}; "
                    "resume it with the same, or choose another --out"
                )

    def save(self, folder: Folder) -> None:
        """Write `job.json`.

        Raises:
            JobError: It cannot be written.
        """
        with folder.replacing(PLAN_FILE) as file:
            file.write(self.model_dump_json(indent=2).encode() + b"\n")

    @classmethod
    def load(cls, folder: Folder) -> Self | None:
        """Read `job.json`; None where there is none.

        Raises:
            JobError: It cannot be read.
        """
        where = f"{folder.url}/{PLAN_FILE}"
        try:
            with folder.open(PLAN_FILE) as file:
                return parse(cls, json.load(file), source=where)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ConfigError) as error:
            message = str(error) if isinstance(error, ConfigError) else reason_of(error)
            raise JobError(f"cannot read {where}: {message}") from error


def require_digest(where: str, found: str, begun: str) -> None:
    """Check that a model is the one that a job was begun with.

    Args:
        where: What it is called in the error.
        found: SHA-256 of its bundle's manifest; "" where a service does not say.
        begun: That of the job's; "" likewise.

    Raises:
        JobError: It is another.
    """
    if found and begun and found != begun:
        raise JobError(
            f"{where}: this bundle was replaced: its manifest's SHA-256 is {found[:12]}…, but the "
            f"job was begun with {begun[:12]}…; put that one back and go on with --resume, or "
            "choose another --out"
        )


def _flat(plan: Plan) -> dict[str, object]:
    values = plan.model_dump(exclude={"listing"})
    found: dict[str, object] = {}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else None
        found |= {f"{key}.{name}": of for name, of in inner.items()} if inner else {key: value}
    return found
