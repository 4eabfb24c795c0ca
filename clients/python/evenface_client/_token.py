"""API tokens: how they travel with a call, and over which connections they may."""

import ipaddress
import re

from evenface_client.errors import InvalidRequest

_KEY = "authorization"
_FORM = re.compile(r"[\x21-\x7e]+")
_BY_ADDRESS = ("ipv4", "ipv6")  # schemes of gRPC's for lists of addresses
_SOCKETS = ("unix", "unix-abstract")


def authorization(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that shows a token.

    Raises:
        InvalidRequest: It could not be sent; what it is stands in no message.
    """
    if token is None:
        return ()
    if not _FORM.fullmatch(token):
        raise InvalidRequest("token", "must be ASCII characters without spaces, and not empty")
    return ((_KEY, f"Bearer {token}"),)


def check_private(token: str | None, server: str, *, encrypted: bool) -> None:
    """Check that a token stays between us and the server.

    Args:
        token: None where there is none to be kept.
        server: Any gRPC target.
        encrypted: Whether the connection will be.

    Raises:
        InvalidRequest: Others on the way could read it.
    """
    if token is not None and not encrypted and not is_local(server):
        raise InvalidRequest(
            "token", f"would travel to {server} in plain text; speak TLS, or pass your own channel"
        )


def is_local(server: str) -> bool:
    """Whether a gRPC target is on this machine, so that nothing travels."""
    scheme, _, rest = server.partition(":")
    if scheme in _SOCKETS:
        return True
    if scheme == "dns":
        return _is_loopback(rest.rpartition("/")[2])
    return all(map(_is_loopback, rest.split(",") if scheme in _BY_ADDRESS else [server]))


def _is_loopback(address: str) -> bool:
    host = _host_of(address)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, rest = address.partition(":")
    return address if ":" in rest else host  # several colons: IPv6 without a port
