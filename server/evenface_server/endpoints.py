"""Addresses and certificates, checked before anything listens. Transport-free."""

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from evenface_core.errors import ConfigError

from evenface_server.settings import Settings, option_of


@dataclass(frozen=True)
class Tls:
    """PEM files that fit together.

    Attributes:
        cert: Certificate chain.
        key: Its private key.
        client_ca: Authorities that clients must come from; None where any client may call.
    """

    cert: bytes
    key: bytes
    client_ca: bytes | None


def load_tls(settings: Settings) -> Tls | None:
    """Read and check the certificates; None where TLS is off.

    Raises:
        ConfigError: A file is missing, or is not what its setting says.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    cert, key = _read("tls_cert", settings.tls_cert), _read("tls_key", settings.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password of none: else OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"--tls-cert, --tls-key: {settings.tls_cert} and {settings.tls_key} are no certificate "
            f"and its unencrypted key: {error}"
        ) from error
    return Tls(cert, key, _read_authorities(settings.tls_client_ca, context))


def _read_authorities(path: Path | None, context: ssl.SSLContext) -> bytes | None:
    if path is None:
        return None
    data = _read("tls_client_ca", path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-client-ca: {path} holds no certificate") from error
    return data


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option_of(setting)}: {path}: {error.strerror}") from error


def check_free(setting: str, host: str, port: int) -> None:
    """Bind a port for a moment: the reason that the system gives is clearer than gRPC's.

    Raises:
        ConfigError: Names the setting, the address and the reason.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        # Python appends to the system's words; errors below 0 are about the host's name.
        number = error.errno or 0
        cause = os.strerror(number) if number > 0 else error.strerror
        raise ConfigError(
            f"{option_of(setting)}: cannot listen on {address_of(host, port)}: {cause}"
        ) from error


def address_of(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
