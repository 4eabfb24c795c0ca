"""Where a token may go."""

import pytest
from evenface_client import TLS, AsyncClient, Client, InvalidRequest
from evenface_client._token import is_local


@pytest.mark.parametrize(
    "server",
    [
        "127.0.0.1:50051",
        "127.8.8.8",
        "localhost:50051",
        "localhost",
        "[::1]:50051",
        "::1",
        "unix:/run/evenface.sock",
        "unix:///run/evenface.sock",
        "unix-abstract:evenface",
        "ipv4:127.0.0.1:50051,127.0.0.2:50051",
        "ipv6:[::1]:50051",
        "dns:localhost:50051",
        "dns:///localhost:50051",
    ],
)
def test_this_machine_is_known_by_its_names(server: str) -> None:
    assert is_local(server)


@pytest.mark.parametrize(
    "server",
    [
        "faces.example.com:443",
        "10.0.0.1:50051",
        "0.0.0.0:50051",
        "localhost.example.com:1",
        "127.0.0.1.example.com:50051",
        "ipv4:127.0.0.1:50051,10.0.0.1:50051",
        "ipv6:[2001:db8::1]:50051",
        "dns:///faces:50051",
        "dns://127.0.0.1/faces:50051",
        "xds:///localhost",
        "[::2]:50051",
        "",
    ],
)
def test_all_else_is_not_this_machine(server: str) -> None:
    assert not is_local(server)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_token_is_not_sent_in_plain_text_to_another_machine(
    client: type[Client] | type[AsyncClient],
) -> None:
    with pytest.raises(InvalidRequest, match=r"token: .* faces.example.com:1 in plain text"):
        client("faces.example.com:1", token="secret")  # noqa: S106


def test_a_token_is_sent_over_tls_or_to_this_machine() -> None:
    Client("faces.example.com:1", token="secret", tls=TLS()).close()  # noqa: S106
    Client("127.0.0.1:1", token="secret").close()  # noqa: S106


@pytest.mark.parametrize("token", ["", "two words", "line\n", "é"])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(
    client: type[Client] | type[AsyncClient], token: str
) -> None:
    with pytest.raises(InvalidRequest, match="token: must be ASCII") as caught:
        client(token=token)
    assert not token or token not in str(caught.value)


def test_a_token_is_not_in_what_is_printed_of_a_client() -> None:
    with Client(token="secret") as client:  # noqa: S106
        settings = client._settings  # noqa: SLF001
        assert "secret" not in repr(settings)
        assert "secret" not in repr(settings.options(1.0))
