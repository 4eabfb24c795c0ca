"""What a server shows of its certificates, and of callers whom it does not let in."""

import shutil
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from evenface_client import TLS, AccessDenied, Client, Unavailable
from evenface_server.access.tokens import digest_of
from support.certificates import make_authority, make_certificate, make_certificates
from support.servers import ServerProcess, scrape, server_process

TOKEN = "of-tests"  # noqa: S105
ENDS = 'evenface_certificate_not_after_timestamp_seconds{certificate="%s"}'
BEGINS = 'evenface_certificate_not_before_timestamp_seconds{certificate="%s"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Certificates: `renewed` and `expired` of `ca`, `stranger` of `other`; tokens."""
    make_certificates(tmp_path, "localhost")
    make_certificate(tmp_path, "renewed", "DNS:localhost", days=90)
    make_certificate(tmp_path, "expired", "DNS:localhost", days=0)
    make_authority(tmp_path, "other")
    make_certificate(tmp_path, "stranger", "DNS:localhost", authority="other")
    digest = digest_of(TOKEN).hex()
    (tmp_path / "tokens.yaml").write_text(f"tokens: [{{name: tests, sha256: {digest}}}]")
    return tmp_path


def options(folder: Path) -> tuple[str, ...]:
    files = {
        "tls-cert": "server.pem",
        "tls-key": "server.key",
        "tls-client-ca": "ca.pem",
        "tokens-file": "tokens.yaml",
    }
    return (
        *(f"--{name}={folder / file}" for name, file in files.items()),
        *("--metrics", "--metrics-port=0"),
    )


def shown(server: ServerProcess) -> Mapping[str, float]:
    return scrape(str(server.wait_for("serving")["metrics_address"]))


def ends_in(path: Path) -> float:
    """When a certificate ends, as OpenSSL's command would say it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    (found,) = context.get_ca_certs()
    return ssl.cert_time_to_seconds(str(found["notAfter"]))


def test_until_when_certificates_hold_is_shown_and_follows_a_renewal(
    tiny_models: Path, folder: Path
) -> None:
    month, quarter = 30 * 86400, 90 * 86400
    with server_process(tiny_models, *options(folder), "--workers=2") as server:
        before = shown(server)
        assert before[ENDS % "client_ca"] == ends_in(folder / "ca.pem")
        assert before[ENDS % "server"] - before[BEGINS % "server"] == month
        for kind in ("pem", "key"):
            shutil.copy(folder / f"renewed.{kind}", folder / f"server.{kind}")

        def is_renewed() -> bool:  # in both workers, as the shorter one is shown
            after = shown(server)
            return after[ENDS % "server"] - after[BEGINS % "server"] == quarter

        server.wait_until(is_renewed)


def _refuse(address: str, trusted: Path) -> None:
    """Refuse the server's certificate, and say so, which gRPC's own library does not."""
    context = ssl.create_default_context(cafile=str(trusted))
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_callers_who_are_not_let_in_are_counted_by_the_reason(
    tiny_models: Path, folder: Path
) -> None:
    good = TLS(
        ca=folder / "ca.pem",
        certificate=folder / "client.pem",
        key=folder / "client.key",
        server_name="localhost",
    )

    def of(name: str) -> TLS:
        return replace(good, certificate=folder / f"{name}.pem", key=folder / f"{name}.key")

    refused = {
        "no_certificate": replace(good, certificate=None, key=None),
        "certificate_expired": of("expired"),
        "certificate_unknown": of("stranger"),
    }
    with server_process(tiny_models, *options(folder), "--workers=1") as server:
        for tls in refused.values():
            with Client(server.address, tls=tls, retries=0) as client, pytest.raises(Unavailable):
                client.limits()
        for token in (None, "nobody"):
            stranger = Client(server.address, tls=good, retries=0, token=token)
            with stranger as client, pytest.raises(AccessDenied):
                client.limits()
        with Client(server.address, tls=good, token=TOKEN) as client:
            client.limits()
        _refuse(server.address, folder / "other.pem")
        reasons = (*refused, "server_certificate", "no_token", "unknown_token")

        def counts() -> dict[str, float]:
            name = 'evenface_callers_refused_total{reason="%s"}'
            found = shown(server)
            return {reason: found[name % reason] for reason in (*reasons, "rpc", "subject")}

        server.wait_until(lambda: all(counts()[reason] for reason in reasons))
        assert counts()["rpc"] == counts()["subject"] == 0
