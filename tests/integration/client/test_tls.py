"""TLS and mutual TLS, by both clients and the command."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from evenface_client import TLS, AsyncClient, Client, InvalidRequest, Unavailable
from evenface_client.cli import main
from support.bundles import images
from support.certificates import make_certificates
from support.servers import server_process

NAME = "faces.test"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, NAME)
    return folder


@pytest.fixture(scope="module")
def secure_address(certificates: Path, client_models: Path) -> Iterator[str]:
    """A server that asks clients for a certificate too."""
    options = {"cert": "server.pem", "key": "server.key", "client-ca": "ca.pem"}
    arguments = [
        text
        for name, file in options.items()
        for text in (f"--tls-{name}", str(certificates / file))
    ]
    with server_process(client_models, *arguments) as server:
        yield server.address


@pytest.fixture
def tls(certificates: Path) -> TLS:
    return TLS(
        ca=certificates / "ca.pem",
        certificate=certificates / "client.pem",
        key=certificates / "client.key",
        server_name=NAME,
    )


def test_both_clients_speak_mutual_tls(secure_address: str, tls: TLS) -> None:
    with Client(secure_address, tls=tls) as client:
        assert client.encode(images(2)).mean.shape == (2, 4)

    async def run() -> None:
        async with AsyncClient(secure_address, tls=tls) as twin:
            assert (await twin.encode(images(2))).mean.shape == (2, 4)

    asyncio.run(run())


def test_the_command_speaks_mutual_tls(
    secure_address: str, certificates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}
    options = [
        text for name, file in files.items() for text in (f"--tls-{name}", str(certificates / file))
    ]
    assert main(["info", "--server", secure_address, *options, "--tls-name", NAME]) == 0
    assert "faces/2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "missing",
    [{"ca": None}, {"certificate": None, "key": None}, {"server_name": None}],
    ids=["an authority", "a certificate of its own", "the server's name"],
)
def test_a_client_without_what_tls_needs_is_not_served(
    secure_address: str, tls: TLS, missing: dict[str, None]
) -> None:
    with (
        Client(secure_address, tls=replace(tls, **missing), retries=0) as client,
        pytest.raises(Unavailable),
    ):
        client.models()


def test_plain_text_is_not_served(secure_address: str) -> None:
    with Client(secure_address, retries=0) as client, pytest.raises(Unavailable):
        client.models()


def test_files_are_checked_when_the_client_is_made(tls: TLS, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"tls.ca \(.*gone.pem\): No such file"):
        Client(tls=replace(tls, ca=tmp_path / "gone.pem"))
    with pytest.raises(InvalidRequest, match="tls: certificate and key belong together"):
        Client(tls=replace(tls, key=None))
