"""The certificates of a server, by handshakes in memory."""

import shutil
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from evenface_core.errors import ConfigError
from evenface_server.access.tls import Tls, refusal_of, watch_tls
from evenface_server.access.watch import Watched
from evenface_server.settings import Settings
from support.certificates import make_authority, make_certificate, make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates `server`, `client` of `ca`; `renewed` of it too; `stranger` of `other`."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, "localhost")
    make_certificate(folder, "renewed", "DNS:localhost")
    make_authority(folder, "other")
    make_certificate(folder, "stranger", "DNS:localhost", authority="other")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Files that a test may change: cert.pem, key.pem, ca.pem."""
    place(made, tmp_path, "server")
    shutil.copy(made / "ca.pem", tmp_path / "ca.pem")
    return tmp_path


def place(made: Path, folder: Path, name: str) -> None:
    shutil.copy(made / f"{name}.pem", folder / "cert.pem")
    shutil.copy(made / f"{name}.key", folder / "key.pem")


def watched(folder: Path, *, mutual: bool = False) -> Watched[Tls]:
    authorities = {"tls_client_ca": folder / "ca.pem"} if mutual else {}
    files = {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem", **authorities}
    found = watch_tls(Settings.model_validate(files))
    assert found is not None
    return found


@dataclass
class Hands:
    """Both ends of a connection, after the handshake."""

    client: ssl.SSLObject
    server: ssl.SSLObject

    @property
    def server_name(self) -> str:
        """Common name of what the server showed."""
        return common_name(self.client.getpeercert())


def common_name(certificate: Any) -> str:  # noqa: ANN401 - of no better type in ssl
    return str(dict(pair for part in certificate["subject"] for pair in part)["commonName"])


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> Hands:
    """Shake hands in memory.

    Raises:
        ssl.SSLError: One of them does not want to.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    hands = Hands(
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):
        for end in (hands.client, hands.server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return hands


def client_of(made: Path, authority: str = "ca", own: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(made / f"{authority}.pem"))
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(made / f"{own}.pem", made / f"{own}.key")
    return context


def settle(found: Watched[Tls]) -> None:
    found.poll()
    found.poll()


def test_the_server_shows_its_certificate_and_speaks_http_2(made: Path, folder: Path) -> None:
    hands = shake(watched(folder).value.context, client_of(made))
    assert hands.server_name == "server"
    assert hands.client.selected_alpn_protocol() == "h2"
    assert hands.server.getpeercert() is None


def test_a_renewed_certificate_is_shown_from_then_on(made: Path, folder: Path) -> None:
    found = watched(folder)
    before = shake(found.value.context, client_of(made))
    place(made, folder, "renewed")
    settle(found)
    assert shake(found.value.context, client_of(made)).server_name == "renewed"
    # The connection made before goes on.
    before.server.write(b"still here")
    assert before.client.read() == b"still here"


@pytest.mark.parametrize("changed", ["cert.pem", "key.pem"])
def test_a_certificate_without_its_key_is_not_taken(
    made: Path, folder: Path, caplog: pytest.LogCaptureFixture, changed: str
) -> None:
    found = watched(folder)
    source = "renewed.pem" if changed == "cert.pem" else "renewed.key"
    shutil.copy(made / source, folder / changed)
    for _ in range(3):
        settle(found)
        assert shake(found.value.context, client_of(made)).server_name == "server"
    assert caplog.messages == ["reload refused"]
    assert "are no certificate and its unencrypted key" in str(vars(caplog.records[0])["reason"])
    place(made, folder, "renewed")
    settle(found)
    assert shake(found.value.context, client_of(made)).server_name == "renewed"


def test_half_a_certificate_is_not_taken(made: Path, folder: Path) -> None:
    found = watched(folder)
    whole = (made / "renewed.pem").read_text()
    (folder / "cert.pem").write_text(whole[: len(whole) // 2])
    settle(found)
    assert shake(found.value.context, client_of(made)).server_name == "server"


def test_clients_must_show_a_certificate_of_the_authority(made: Path, folder: Path) -> None:
    context = watched(folder, mutual=True).value.context
    hands = shake(context, client_of(made, own="client"))
    assert common_name(hands.server.getpeercert()) == "client"
    for own in (None, "stranger"):
        with pytest.raises(ssl.SSLError, match="certificate"):
            shake(context, client_of(made, own=own))


def test_another_authority_counts_from_then_on(made: Path, folder: Path) -> None:
    found = watched(folder, mutual=True)
    shutil.copy(made / "other.pem", folder / "ca.pem")
    settle(found)
    hands = shake(found.value.context, client_of(made, own="stranger"))
    assert common_name(hands.server.getpeercert()) == "stranger"
    with pytest.raises(ssl.SSLError, match="certificate"):
        shake(found.value.context, client_of(made, own="client"))


def ends(found: Watched[Tls]) -> dict[str, float]:
    return {name: validity.ends for name, validity in found.value.validities.items()}


def test_until_when_certificates_hold_is_known_and_follows_them(made: Path, folder: Path) -> None:
    found = watched(folder, mutual=True)
    assert ends(found) == {
        "server": pytest.approx(time.time() + 30 * 86400, abs=3600),
        "client_ca": pytest.approx(time.time() + 30 * 86400, abs=3600),
    }
    make_certificate(made, "short", "DNS:localhost", days=3)
    place(made, folder, "short")
    settle(found)
    assert ends(found)["server"] == pytest.approx(time.time() + 3 * 86400, abs=3600)


def test_of_several_authorities_the_one_that_ends_first_is_told(made: Path, folder: Path) -> None:
    make_certificate(made, "old", "DNS:localhost", days=3)
    both = (made / "ca.pem").read_bytes() + (made / "old.pem").read_bytes()
    (folder / "ca.pem").write_bytes(both)
    found = ends(watched(folder, mutual=True))
    assert found["client_ca"] == pytest.approx(time.time() + 3 * 86400, abs=3600)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("authority", "own", "reason"),
    [
        ("ca", None, "no_certificate"),
        ("ca", "stranger", "certificate_unknown"),
        ("ca", "expired", "certificate_expired"),
        ("other", "client", "server_certificate"),
    ],
)
def test_a_handshake_that_fails_for_a_certificate_says_which(
    made: Path,
    folder: Path,
    authority: str,
    own: str | None,
    reason: str,
    version: ssl.TLSVersion,
) -> None:
    make_certificate(made, "expired", "DNS:localhost", days=0)
    client = client_of(made, authority, own)
    client.maximum_version = version
    assert refusal_of(_refusal(watched(folder, mutual=True).value.context, client)) == reason


def _refusal(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLError:
    """What the server meets in a handshake that fails."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        with suppress(ssl.SSLError):
            caller.do_handshake()
        try:
            answering.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    pytest.fail("the handshake did not fail")


def test_a_handshake_that_fails_for_something_else_is_none_of_a_certificate(folder: Path) -> None:
    to_server = ssl.MemoryBIO()
    to_server.write(b"GET / HTTP/1.1\r\n\r\n")
    server = watched(folder).value.context.wrap_bio(to_server, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError) as caught:
        server.do_handshake()
    assert refusal_of(caught.value) is None


def test_versions_of_tls_before_1_2_are_not_spoken(folder: Path) -> None:
    assert watched(folder).value.context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("ciphers", "spoken"), [("ECDHE+AESGCM", True), ("ECDHE-ECDSA-AES128-SHA256", False)]
)
def test_with_tls_1_2_only_what_http_2_allows_is_spoken(
    made: Path, folder: Path, ciphers: str, *, spoken: bool
) -> None:
    client = client_of(made)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(ciphers)
    if spoken:
        assert shake(watched(folder).value.context, client).server.version() == "TLSv1.2"
    else:
        with pytest.raises(ssl.SSLError):
            shake(watched(folder).value.context, client)


@pytest.mark.parametrize(
    ("cert", "key", "authority", "message"),
    [
        ("gone.pem", "server.key", "ca.pem", "--tls-cert: .*gone.pem: No such file"),
        ("server.pem", "gone.key", "ca.pem", "--tls-key: .*gone.key: No such file"),
        ("server.pem", "server.key", "gone.pem", "--tls-client-ca: .*gone.pem: No such file"),
        ("server.pem", "client.key", "ca.pem", "no certificate and its unencrypted key"),
        ("names", "server.key", "ca.pem", "no certificate and its unencrypted key"),
        ("server.pem", "server.key", "names", "--tls-client-ca: .* holds no certificate"),
    ],
)
def test_what_cannot_be_used_at_the_start_is_named(
    made: Path, cert: str, key: str, authority: str, message: str
) -> None:
    files = {"tls_cert": made / cert, "tls_key": made / key, "tls_client_ca": made / authority}
    with pytest.raises(ConfigError, match=message):
        watch_tls(Settings.model_validate(files))


def test_without_certificates_there_is_no_tls() -> None:
    assert watch_tls(Settings.model_validate({})) is None
