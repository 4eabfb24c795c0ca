"""Who calls, and whether they may. Transport-free: knows paths, metadata pairs and certificates.

Whatever is asked, the files answer as they stand: a token that is taken away, or a new rate, counts
from the next call on, and from the next message of a stream that is open.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from evenface_core.errors import PermissionDenied, RateLimited, Unauthenticated

from evenface_server.access.buckets import Buckets, Rate
from evenface_server.access.globs import Globs
from evenface_server.access.subjects import names_of
from evenface_server.access.tokens import Grant, digest_of
from evenface_server.access.watch import Watched
from evenface_server.metrics import CallerMetrics

Metadata = Iterable[tuple[str, str | bytes]]
Certificate = Mapping[str, Any]

# Probes have no token, and learn no more than that the server is up.
_OPEN: Final = "/grpc.health.v1.Health/"
_KEY: Final = "authorization"
_SCHEME: Final = "bearer"
# Timers count milliseconds and may end early by one, for a vain try.
_TICK_SECONDS: Final = 0.001
_MAX_SHOWN: Final = 200
_MAX_REMEMBERED: Final = 1024


class Judge(Protocol):
    """Says whether a caller may."""

    def __call__(self, requests: int, rows: int, *, on_credit: bool) -> str:
        """Count, and return the caller's name, or refuse; on credit, rates refuse nothing."""


class Caller:
    """Who makes a call, which may begin once its caller has been charged for it.

    Args:
        name: Where it is known at once.
        judge: Says whether the caller may.

    Attributes:
        name: Of the token, else the line of the allow-list that lets the certificate in; empty
            where everybody may call. Fit for logs and metrics: the files bound how many there are.
    """

    __slots__ = ("_judge", "name")

    def __init__(self, name: str, judge: Judge) -> None:
        self.name = name
        self._judge = judge

    def charge(self, requests: int = 1, rows: int = 0) -> None:
        """Ask whether the caller may, and count against its rates.

        Args:
            requests: Calls, or messages of a stream.
            rows: Images or latents.

        Raises:
            Unauthenticated: There is no token, or none that is known, or it is so no more.
            PermissionDenied: The RPC is not for this caller, or its certificate is not let in.
            RateLimited: Too much in too short a time.
        """
        self.name = self._judge(requests, rows, on_credit=False)

    def owe(self, rows: int) -> None:
        """Count rows that are worked on whatever the rate; what is beyond it is for `turn`."""
        self._judge(0, rows, on_credit=True)

    async def turn(self) -> None:
        """Wait until the next message of a stream may be worked on, and count it.

        A stream is slowed down to its caller's rate, where a call is refused: what has been sent
        is not sent again, and whoever works through millions of images need not know the rate.

        Raises:
            Unauthenticated: As `charge`.
            PermissionDenied: As `charge`.
        """
        while True:
            try:
                self.charge()
            except RateLimited as error:
                await asyncio.sleep(error.retry_after + _TICK_SECONDS)
            else:
                return


class Access:
    """Says of each call whether it may be made.

    Args:
        tokens: What is granted, by digest; None where no token is asked for.
        subjects: Which certificates are let in; None for all that TLS lets in.
        buckets: What rates are counted in.
        metrics: Of a caller, by its name.
        refused: Counts those who may not call, by the reason.
    """

    def __init__(
        self,
        tokens: Watched[Mapping[bytes, Grant]] | None,
        subjects: Watched[Globs] | None,
        buckets: Buckets,
        metrics: Callable[[str], CallerMetrics],
        refused: Callable[[str], None],
    ) -> None:
        self._tokens = tokens
        self._subjects = subjects
        self._buckets = buckets
        self._metrics = metrics
        self._refused = refused
        self._lines: dict[int, tuple[Certificate | None, Globs, str]] = {}
        self._bound: dict[str, CallerMetrics] = {}
        self._anybody = Caller("", _let_all)

    @property
    def is_open(self) -> bool:
        """Whether everybody may call everything."""
        return self._tokens is None and self._subjects is None

    def caller(self, path: str, metadata: Metadata, certificate: Certificate | None) -> Caller:
        """Find out who calls; whether it may is for `Caller.charge` to say.

        Args:
            path: "/package.Service/Method".
            metadata: What the caller sent.
            certificate: What the client showed, as `ssl.SSLSocket.getpeercert` has it.
        """
        if self.is_open or path.startswith(_OPEN):
            return self._anybody
        digest = None if self._tokens is None else _digest(metadata)
        grant = self._grant(digest)
        name = "" if grant is None else grant.name
        return Caller(name, partial(self._judge, path, digest, certificate))

    def _judge(
        self,
        path: str,
        digest: bytes | None,
        certificate: Certificate | None,
        requests: int,
        rows: int,
        *,
        on_credit: bool,
    ) -> str:
        line = "" if self._subjects is None else self._let_in(self._subjects.value, certificate)
        if self._tokens is None:
            return line
        grant = self._grant(digest)
        if grant is None:
            self._refused("no_token" if digest is None else "unknown_token")
            raise Unauthenticated(
                "this call needs a token, in metadata: authorization: Bearer TOKEN"
                if digest is None
                else "no such token"
            )
        counts = self._counts(grant.name)
        if not grant.allows(path):
            counts.denied.inc()
            self._refused("rpc")
            raise PermissionDenied(f"'{grant.name}' may not call {path[1:_MAX_SHOWN]}")
        if grant.rows is not None:  # first: a request that is refused for its rows is not counted
            self._draw(grant, grant.rows, rows, "rows", on_credit=on_credit)
        if grant.requests is not None and requests:
            self._draw(grant, grant.requests, requests, "requests", on_credit=on_credit)
        counts.allowed.inc(requests)
        return grant.name

    def _grant(self, digest: bytes | None) -> Grant | None:
        if self._tokens is None or digest is None:
            return None
        return self._tokens.value.get(digest)

    def _let_in(self, subjects: Globs, certificate: Certificate | None) -> str:
        """Find the line that lets a certificate in; all calls of a connection show one object."""
        known = self._lines.get(id(certificate))
        if known is not None and known[1] is subjects:
            return known[2]
        names = names_of(certificate or {})
        line = next((line for name in names if (line := subjects.find(name)) is not None), None)
        if line is None:
            self._refused("subject")
            shown = ", ".join(names)[:_MAX_SHOWN] or "no name"
            raise PermissionDenied(f"this client's certificate is not let in; it is for {shown}")
        if len(self._lines) >= _MAX_REMEMBERED:
            self._lines.clear()
        # The certificate is held, so that no other gets its identity.
        self._lines[id(certificate)] = certificate, subjects, line
        return line

    def _draw(self, grant: Grant, rate: Rate, amount: int, unit: str, *, on_credit: bool) -> None:
        wait = self._buckets.take(rate, amount, on_credit=on_credit)
        if wait:
            self._counts(grant.name).limited.inc()
            raise RateLimited(
                f"'{grant.name}' is over its rate of {rate.per_second:g} {unit} a second "
                f"({rate.capacity:g} at once); try again in {wait:.3g} s",
                retry_after=wait,
            )

    def _counts(self, name: str) -> CallerMetrics:
        found = self._bound.get(name)
        if found is None:
            found = self._bound[name] = self._metrics(name)
        return found


def _let_all(requests: int, rows: int, *, on_credit: bool) -> str:
    del requests, rows, on_credit
    return ""


def _digest(metadata: Metadata) -> bytes | None:
    for key, value in metadata:
        if key == _KEY and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return digest_of(token.strip()) if scheme.lower() == _SCHEME else None
    return None
