"""Who calls, and whether they may. Transport-free: knows paths, metadata pairs and certificates.

Whatever is asked, the files answer as they stand: a token that is taken away, or a new rate, counts
from the next call on, and from the next message of a stream that is open.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

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
_MAX_SHOWN: Final = 200
_MAX_REMEMBERED: Final = 1024


class Caller:
    """Who makes a call.

    Args:
        judge: Takes requests and rows to count; returns the caller's name, or refuses.

    Attributes:
        name: Of the token, else the line of the allow-list that lets the certificate in; empty
            where everybody may call. Fit for logs and metrics: the files bound how many there are.
    """

    __slots__ = ("_judge", "name")

    def __init__(self, judge: Callable[[int, int], str]) -> None:
        self._judge = judge
        self.name = ""

    def charge(self, requests: int = 1, rows: int = 0) -> None:
        """Ask again whether the caller may, and count against its rates.

        Args:
            requests: Calls, or messages of a stream.
            rows: Images or latents.

        Raises:
            Unauthenticated: The token is not known, or no more.
            PermissionDenied: The RPC is not for this caller, or its certificate is not let in.
            RateLimited: Too much in too short a time.
        """
        self.name = self._judge(requests, rows)


class Access:
    """Says of each call whether it may be made.

    Args:
        tokens: What is granted, by digest; None where no token is asked for.
        subjects: Which certificates are let in; None for all that TLS lets in.
        buckets: What rates are counted in.
        metrics: Of a caller, by its name.
    """

    def __init__(
        self,
        tokens: Watched[Mapping[bytes, Grant]] | None,
        subjects: Watched[Globs] | None,
        buckets: Buckets,
        metrics: Callable[[str], CallerMetrics],
    ) -> None:
        self._tokens = tokens
        self._subjects = subjects
        self._buckets = buckets
        self._metrics = metrics
        self._lines: dict[int, tuple[Certificate | None, Globs, str]] = {}
        self._bound: dict[str, CallerMetrics] = {}
        self._anybody = Caller(lambda *_: "")

    def check(self, path: str, metadata: Metadata, certificate: Certificate | None) -> Caller:
        """Let a call begin, and count it as one request of its caller.

        Args:
            path: "/package.Service/Method".
            metadata: What the caller sent.
            certificate: What the client showed, as `ssl.SSLSocket.getpeercert` has it.

        Raises:
            Unauthenticated: There is no token, or none that is known.
            PermissionDenied: The RPC is not for this caller, or its certificate is not let in.
            RateLimited: Too many requests in too short a time.
        """
        if (self._tokens is None and self._subjects is None) or path.startswith(_OPEN):
            return self._anybody
        digest = None if self._tokens is None else _digest(metadata)
        caller = Caller(partial(self._judge, path, digest, certificate))
        caller.charge()
        return caller

    def _judge(
        self,
        path: str,
        digest: bytes | None,
        certificate: Certificate | None,
        requests: int,
        rows: int,
    ) -> str:
        line = "" if self._subjects is None else self._let_in(self._subjects.value, certificate)
        if self._tokens is None:
            return line
        grant = None if digest is None else self._tokens.value.get(digest)
        if grant is None:
            raise Unauthenticated(
                "this call needs a token, in metadata: authorization: Bearer TOKEN"
                if digest is None
                else "no such token"
            )
        counts = self._counts(grant.name)
        if not grant.allows(path):
            counts.denied.inc()
            raise PermissionDenied(f"'{grant.name}' may not call {path[1:_MAX_SHOWN]}")
        if grant.requests is not None and requests:
            self._draw(grant, grant.requests, requests, "requests")
        if grant.rows is not None and rows:
            self._draw(grant, grant.rows, rows, "rows")
        counts.allowed.inc(requests)
        return grant.name

    def _let_in(self, subjects: Globs, certificate: Certificate | None) -> str:
        """Find the line that lets a certificate in; all calls of a connection show one object."""
        known = self._lines.get(id(certificate))
        if known is not None and known[1] is subjects:
            return known[2]
        names = names_of(certificate or {})
        line = next((line for name in names if (line := subjects.find(name)) is not None), None)
        if line is None:
            shown = ", ".join(names)[:_MAX_SHOWN] or "no name"
            raise PermissionDenied(f"this client's certificate is not let in; it is for {shown}")
        if len(self._lines) >= _MAX_REMEMBERED:
            self._lines.clear()
        # The certificate is held, so that no other gets its identity.
        self._lines[id(certificate)] = certificate, subjects, line
        return line

    def _draw(self, grant: Grant, rate: Rate, amount: int, unit: str) -> None:
        wait = self._buckets.take(rate, amount)
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


def _digest(metadata: Metadata) -> bytes | None:
    for key, value in metadata:
        if key == _KEY and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return digest_of(token.strip()) if scheme.lower() == _SCHEME else None
    return None
