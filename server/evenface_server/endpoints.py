"""Certificates, checked before anything listens. Transport-free."""

import ssl
from pathlib import Path

from evenface_core.errors import ConfigError

from evenface_server.settings import Settings, option_of


def load_tls(settings: Settings) -> ssl.SSLContext | None:
    """Read the certificates that the server shows and asks for; None where TLS is off.

    Raises:
        ConfigError: A file is missing, or is not what its setting says.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    _check_readable("tls_cert", settings.tls_cert)
    _check_readable("tls_key", settings.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        # A password of none: else OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"--tls-cert, --tls-key: {settings.tls_cert} and {settings.tls_key} are no certificate "
            f"and its unencrypted key: {error}"
        ) from error
    if settings.tls_client_ca is not None:
        _ask_for_certificates(settings.tls_client_ca, context)
    return context


def _ask_for_certificates(authorities: Path, context: ssl.SSLContext) -> None:
    _check_readable("tls_client_ca", authorities)
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-client-ca: {authorities} holds no certificate") from error
    context.verify_mode = ssl.CERT_REQUIRED


def _check_readable(setting: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option_of(setting)}: {path}: {error.strerror}") from error
