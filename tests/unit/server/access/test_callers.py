"""Who may call what, and how often."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from evenface_core.errors import (
    EvenfaceError,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
)
from evenface_server.access import Access, Buckets, Caller, watch_subjects, watch_tokens
from evenface_server.access.tokens import digest_of
from evenface_server.metrics import CallerMetrics
from evenface_server.settings import Settings

ENCODE, STREAM = "/evenface.v1.FaceService/Encode", "/evenface.v1.FaceService/EncodeStream"
DECODE = "/evenface.v1.FaceService/Decode"
HEALTH = "/grpc.health.v1.Health/Check"
CERTIFICATE: dict[str, Any] = {"subject": ((("commonName", "client"),),)}


class Counted:
    """What has been counted, by caller and outcome."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()

    def caller(self, name: str) -> CallerMetrics:
        outcomes = ("allowed", "denied", "limited")
        return CallerMetrics(**{o: cast("Any", _One(self._counts, (name, o))) for o in outcomes})

    def refuse(self, reason: str) -> None:
        self.refused[reason] += 1

    def __getitem__(self, key: tuple[str, str]) -> int:
        return self._counts[key]


@dataclass
class _One:
    counts: Counter[tuple[str, str]]
    key: tuple[str, str]

    def inc(self, amount: int = 1) -> None:
        self.counts[self.key] += amount


@dataclass
class Gate:
    """An access of two tokens, "free" and "held", and what can be changed about it."""

    access: Access
    counted: Counted
    file: Path
    now: list[float]

    def rewrite(self, text: str) -> None:
        """Change the tokens file, and let it be read."""
        self.file.write_text(text)
        found = self.access._tokens  # noqa: SLF001 - in place of its thread
        assert found is not None
        found.poll()
        found.poll()


def bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("user-agent", "x"), ("authorization", f"Bearer {token}"))


def check(
    access: Access,
    path: str,
    metadata: Iterable[tuple[str, str | bytes]],
    certificate: dict[str, Any] | None,
) -> Caller:
    """Let a call begin."""
    caller = access.caller(path, metadata, certificate)
    caller.charge()
    return caller


def entry(name: str, token: str, more: str = "") -> str:
    return f"  - {{name: {name}, sha256: {digest_of(token).hex()}, {more}}}\n"


TOKENS = (
    "tokens:\n"
    + entry("free", "f-secret")
    + entry(
        "held",
        "h-secret",
        "rpcs: ['FaceService/Encode*'], requests_per_second: 10, burst: 3, rows_per_second: 100",
    )
)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    file = tmp_path / "tokens.yaml"
    file.write_text(TOKENS)
    now, counted = [100.0], Counted()
    buckets = Buckets(None, lambda: now[0])
    tokens = watch_tokens(Settings.model_validate({"tokens_file": file}))
    yield Gate(Access(tokens, None, buckets, counted.caller, counted.refuse), counted, file, now)
    buckets.close()


def test_a_token_lets_its_bearer_in_under_its_name(gate: Gate) -> None:
    assert check(gate.access, DECODE, bearing("f-secret"), None).name == "free"
    assert check(gate.access, ENCODE, bearing("h-secret"), None).name == "held"


def test_a_caller_has_its_name_even_where_it_is_refused(gate: Gate) -> None:
    caller = gate.access.caller(DECODE, bearing("h-secret"), None)
    with pytest.raises(PermissionDenied):
        caller.charge()
    assert caller.name == "held"
    assert gate.access.caller(DECODE, bearing("nobody"), None).name == ""


@pytest.mark.parametrize("value", ["bearer f-secret", "BEARER f-secret", "Bearer  f-secret "])
def test_the_scheme_is_read_as_http_has_it(gate: Gate, value: str) -> None:
    assert check(gate.access, ENCODE, (("authorization", value),), None).name == "free"


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-request-id", "1"),),
        (("authorization", "Basic f-secret"),),
        (("authorization", "f-secret"),),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer nobody"),),
        (("authorization", "Bearer " + "x" * 10_000),),
        (("authorization", "Bearer \udcff"),),
        (("authorization", b"Bearer f-secret"),),
        (("authorization-bin", b"Bearer f-secret"),),
    ],
)
def test_without_a_known_token_nothing_is_done(
    gate: Gate, metadata: tuple[tuple[str, str | bytes], ...]
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(gate.access, ENCODE, metadata, None)
    assert "nobody" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_health_is_open_to_all_and_reflection_is_not(gate: Gate) -> None:
    assert check(gate.access, HEALTH, (), None).name == ""
    with pytest.raises(Unauthenticated):
        check(gate.access, "/grpc.reflection.v1alpha.ServerReflection/X", (), None)


def test_those_who_may_not_call_are_counted_by_the_reason(
    gate: Gate, by_certificate: Access, counted: Counted
) -> None:
    asked = (
        (gate.access, ENCODE, ()),
        (gate.access, ENCODE, bearing("nobody")),
        (gate.access, DECODE, bearing("h-secret")),
        (by_certificate, ENCODE, ()),
    )
    for access, path, metadata in asked:
        with pytest.raises(EvenfaceError):
            check(access, path, metadata, None)
    check(gate.access, ENCODE, bearing("f-secret"), None)
    assert gate.counted.refused == {"no_token": 1, "unknown_token": 1, "rpc": 1}
    assert counted.refused == {"subject": 1}


def test_other_rpcs_are_refused_by_name(gate: Gate) -> None:
    with pytest.raises(PermissionDenied, match=r"'held' may not call evenface.v1.FaceService/Dec"):
        check(gate.access, DECODE, bearing("h-secret"), None)
    assert gate.counted["held", "denied"] == 1


def test_over_the_rate_a_call_is_refused_with_the_seconds_to_wait(gate: Gate) -> None:
    for _ in range(3):
        check(gate.access, ENCODE, bearing("h-secret"), None)
    with pytest.raises(RateLimited, match="over its rate of 10 requests a second") as caught:
        check(gate.access, ENCODE, bearing("h-secret"), None)
    assert caught.value.retry_after == pytest.approx(0.1)
    gate.now[0] += caught.value.retry_after
    check(gate.access, ENCODE, bearing("h-secret"), None)
    assert gate.counted["held", "allowed"] == 4
    assert gate.counted["held", "limited"] == 1


def test_each_message_of_a_stream_counts(gate: Gate) -> None:
    caller = check(gate.access, STREAM, bearing("h-secret"), None)
    caller.charge()
    caller.charge()
    with pytest.raises(RateLimited):
        caller.charge()


def test_rows_count_by_themselves(gate: Gate) -> None:
    caller = check(gate.access, ENCODE, bearing("h-secret"), None)
    for _ in range(10):
        caller.charge(requests=0, rows=10)
    with pytest.raises(RateLimited, match="100 rows a second") as caught:
        caller.charge(requests=0, rows=10)
    assert caught.value.retry_after == pytest.approx(0.1)


def test_a_call_of_a_caller_in_debt_for_rows_is_refused_before_its_work(gate: Gate) -> None:
    check(gate.access, ENCODE, bearing("h-secret"), None).charge(requests=0, rows=150)
    with pytest.raises(RateLimited, match="100 rows a second") as caught:
        check(gate.access, ENCODE, bearing("h-secret"), None)
    assert caught.value.retry_after == pytest.approx(0.5)
    assert gate.counted["held", "allowed"] == 1


@pytest.fixture
def naps(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, on the gate's clock."""
    found = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        gate.now[0] += seconds

    monkeypatch.setattr("asyncio.sleep", sleep)
    return found


async def test_a_stream_is_slowed_down_to_the_rate(gate: Gate, naps: list[float]) -> None:
    caller = check(gate.access, STREAM, bearing("h-secret"), None)
    for _ in range(100):
        await caller.turn()
    assert sum(naps) == pytest.approx((101 - 3) / 10, abs=0.01)
    assert gate.counted["held", "allowed"] == 101


async def test_rows_of_a_stream_are_waited_for_by_its_next_message(
    gate: Gate, naps: list[float]
) -> None:
    caller = check(gate.access, STREAM, bearing("h-secret"), None)
    for _ in range(10):
        await caller.turn()
        caller.owe(300)
    assert sum(naps) == pytest.approx((9 * 300 - 100) / 100, abs=0.01)


async def test_a_stream_that_waits_ends_when_its_token_is_taken_away(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = check(gate.access, STREAM, bearing("h-secret"), None)
    caller.owe(1000)

    async def sleep(_: float) -> None:
        gate.rewrite("tokens: []")

    monkeypatch.setattr("asyncio.sleep", sleep)
    with pytest.raises(Unauthenticated):
        await caller.turn()


def test_a_caller_without_rates_is_never_refused(gate: Gate) -> None:
    caller = check(gate.access, DECODE, bearing("f-secret"), None)
    for _ in range(10_000):
        caller.charge(rows=10_000)
    assert gate.counted["free", "allowed"] == 10_001


def test_a_token_taken_away_ends_calls_and_open_streams(gate: Gate) -> None:
    stream = check(gate.access, STREAM, bearing("f-secret"), None)
    gate.rewrite("tokens:\n" + entry("other", "o-secret"))
    with pytest.raises(Unauthenticated):
        check(gate.access, DECODE, bearing("f-secret"), None)
    with pytest.raises(Unauthenticated):
        stream.charge()
    assert check(gate.access, DECODE, bearing("o-secret"), None).name == "other"


def test_a_new_rate_counts_at_once(gate: Gate) -> None:
    stream = check(gate.access, STREAM, bearing("f-secret"), None)
    gate.rewrite("tokens:\n" + entry("free", "f-secret", "requests_per_second: 1"))
    stream.charge()
    with pytest.raises(RateLimited):
        stream.charge()


def test_a_file_that_cannot_be_used_changes_nothing(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.rewrite("tokens: [{name: free, sha256: f-secret}]")
    assert check(gate.access, DECODE, bearing("f-secret"), None).name == "free"
    assert "reload refused" in caplog.messages


def test_a_second_token_of_the_same_caller_has_the_same_rate(gate: Gate) -> None:
    digests = f"[{digest_of('old').hex()}, {digest_of('new').hex()}]"
    gate.rewrite(f"tokens: [{{name: jobs, sha256: {digests}, requests_per_second: 1}}]")
    assert check(gate.access, ENCODE, bearing("old"), None).name == "jobs"
    with pytest.raises(RateLimited):
        check(gate.access, ENCODE, bearing("new"), None)


def test_no_token_is_ever_logged(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for token, path in (("f-secret", ENCODE), ("h-secret", DECODE), ("no-secret", ENCODE)):
        for _ in range(5):
            try:
                check(gate.access, path, bearing(token), None)
            except EvenfaceError as error:
                logging.getLogger(__name__).info("refused", exc_info=error)
    gate.rewrite("tokens: [{name: free, sha256: f-secret}]")
    assert "reload refused" in caplog.text
    assert "-secret" not in caplog.text


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def by_certificate(tmp_path: Path, counted: Counted) -> Iterator[Access]:
    file = tmp_path / "subjects"
    file.write_text("cli*\n")
    tls = {"tls_cert": "x", "tls_key": "x", "tls_client_ca": "x"}
    subjects = watch_subjects(Settings.model_validate({**tls, "tls_allowed_subjects": file}))
    buckets = Buckets(None)
    yield Access(None, subjects, buckets, counted.caller, counted.refuse)
    buckets.close()


def test_a_certificate_is_let_in_by_its_names(by_certificate: Access) -> None:
    for _ in range(2):  # the second time from memory
        assert check(by_certificate, ENCODE, (), CERTIFICATE).name == "cli*"


@pytest.mark.parametrize(
    ("certificate", "shown"),
    [
        ({"subject": ((("commonName", "stranger"),),)}, "stranger"),
        ({"subjectAltName": (("DNS", "a"), ("URI", "b:c"))}, "a, b:c"),
        ({}, "no name"),
        (None, "no name"),
    ],
)
def test_other_certificates_are_refused_with_their_names(
    by_certificate: Access, certificate: dict[str, Any] | None, shown: str
) -> None:
    for _ in range(2):
        with pytest.raises(PermissionDenied, match=f"not let in; it is for {shown}"):
            check(by_certificate, ENCODE, (), certificate)


def test_a_name_struck_off_the_list_ends_calls_and_open_streams(
    by_certificate: Access, tmp_path: Path
) -> None:
    stream = check(by_certificate, STREAM, (), CERTIFICATE)
    (tmp_path / "subjects").write_text("somebody else\n")
    found = by_certificate._subjects  # noqa: SLF001 - in place of its thread
    assert found is not None
    found.poll()
    found.poll()
    for ask in (stream.charge, lambda: check(by_certificate, ENCODE, (), CERTIFICATE)):
        with pytest.raises(PermissionDenied):
            ask()


def test_more_certificates_than_are_remembered_are_judged_all_the_same(
    by_certificate: Access,
) -> None:
    many = [{"subject": ((("commonName", f"client {n}"),),)} for n in range(3000)]
    for _ in range(2):
        assert all(check(by_certificate, ENCODE, (), one).name == "cli*" for one in many)


def test_without_files_everybody_may_call_as_often_as_they_like(counted: Counted) -> None:
    buckets = Buckets(None)
    caller = check(Access(None, None, buckets, counted.caller, counted.refuse), ENCODE, (), None)
    for _ in range(1000):
        caller.charge(rows=1000)
    buckets.close()
    assert caller.name == ""
