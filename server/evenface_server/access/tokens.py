"""API tokens: who may call what, and how often, from a file. Transport-free.

The file holds SHA-256 digests alone. Tokens are 256 random bits, so that a slow hash or a salt,
which protect what people can remember, would add nothing but time to every call: there is no list
of likely tokens to try. For the same reason tokens are looked up by their digest in a dict: the
time that takes may depend on the digest, of which a caller who tries tokens chooses no bit.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from evenface_core.config import load_yaml
from evenface_core.errors import ConfigError
from evenface_core.manifest import Name
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from evenface_server.access.buckets import SLOTS, Rate
from evenface_server.access.globs import Globs
from evenface_server.access.watch import Watched
from evenface_server.settings import Settings, option_of

# So that scanners for secrets that slipped into a repository know one when they see it.
PREFIX: Final = "evenface_"

_RANDOM_BYTES: Final = 32
_MAX_TOKENS: Final = SLOTS // 2  # each may have two buckets
_MAX_PER_SECOND: Final = 1e6
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RPCS: Final = re.compile(r"\*|[^/]+/[^/]+")
_ADMIN: Final = "AdminService/"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_digest(value: object) -> object:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("must be the SHA-256 of the token, 64 hexadecimal digits")
    return value


def _check_rpcs(pattern: object) -> object:
    if isinstance(pattern, str) and not _RPCS.fullmatch(pattern):
        raise ValueError("must be SERVICE/METHOD, such as FaceService/Encode*, or *")
    return pattern


Digest = Annotated[str, BeforeValidator(_check_digest)]
Rpcs = Annotated[str, BeforeValidator(_check_rpcs)]
PerSecond = Annotated[float, Field(gt=0, le=_MAX_PER_SECOND)]


class _Part(BaseModel):
    # No values in errors, which are logged: somebody may write a token where its digest belongs.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class TokenEntry(_Part):
    """One caller.

    Attributes:
        name: For logs and metrics.
        sha256: Hexadecimal digest of the token; several while callers change from one to the next.
        rpcs: What may be called, "Service/Method" with or without the package; `*` for any text.
            AdminService has to be named.
        requests_per_second: Calls and messages of streams; None for any number.
        burst: How many of them at once; None for a second's worth.
        rows_per_second: Images and latents; None for any number. A second's worth at once.
    """

    name: Name
    sha256: Annotated[tuple[Digest, ...], BeforeValidator(_listed), Field(min_length=1)]
    rpcs: tuple[Rpcs, ...] = ("*",)
    requests_per_second: PerSecond | None = None
    burst: int | None = Field(None, ge=1, le=_MAX_PER_SECOND)
    rows_per_second: PerSecond | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.burst is not None and self.requests_per_second is None:
            raise ValueError(f"burst of '{self.name}' needs requests_per_second")
        return self


class TokensFile(_Part):
    """What `--tokens-file` holds."""

    tokens: tuple[TokenEntry, ...] = Field(max_length=_MAX_TOKENS)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        _check_once("name", (entry.name for entry in self.tokens))
        _check_once("sha256", (digest for entry in self.tokens for digest in entry.sha256))
        return self


@dataclass(frozen=True)
class Grant:
    """What the bearer of a token may do.

    Attributes:
        name: Of the caller.
        rpcs: Paths, "/package.Service/Method", that may be called, but for those of AdminService.
        orders: Those of AdminService: no caller is an operator whose entry does not name it.
        requests: How many calls and messages of streams; None for any number.
        rows: How many images and latents; None for any number.
    """

    name: str
    rpcs: Globs
    orders: Globs
    requests: Rate | None
    rows: Rate | None

    def allows(self, path: str) -> bool:
        """Whether "/package.Service/Method" may be called."""
        allowed = self.orders if f".{_ADMIN}" in path else self.rpcs
        return allowed.find(path) is not None


def watch_tokens(settings: Settings) -> Watched[Mapping[bytes, Grant]] | None:
    """Read the tokens file, YAML or JSON.

    Returns:
        What is granted, by the SHA-256 of the token; None where no token is asked for.

    Raises:
        ConfigError: Names the file and the entry at fault.
    """
    path = settings.tokens_file
    return None if path is None else Watched("tokens_file", (path,), lambda: _load(path))


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def new_token() -> str:
    """Make a token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def _load(path: Path) -> Mapping[bytes, Grant]:
    try:
        file = load_yaml(TokensFile, path)
    except ConfigError as error:
        raise ConfigError(f"{option_of('tokens_file')}: {error}") from error
    grants = {entry: _grant(entry) for entry in file.tokens}
    return {bytes.fromhex(one): grant for entry, grant in grants.items() for one in entry.sha256}


def _grant(entry: TokenEntry) -> Grant:
    per_second, rows = entry.requests_per_second, entry.rows_per_second
    burst = entry.burst or max(1.0, per_second or 0)
    return Grant(
        entry.name,
        _paths(entry.rpcs),
        _paths(rpcs for rpcs in entry.rpcs if _ADMIN in rpcs),
        None if per_second is None else Rate(f"requests {entry.name}", per_second, burst),
        None if rows is None else Rate(f"rows {entry.name}", rows, max(1.0, rows)),
    )


def _paths(patterns: Iterable[str]) -> Globs:
    return Globs(path for rpcs in patterns for path in ("/" + rpcs, "/*." + rpcs))


def _check_once(key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{key} '{value}' stands there twice")
        seen.add(value)
