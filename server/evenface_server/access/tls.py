"""The certificates that a server shows and asks for, read again when they change on disk.

Transport-free. Connections keep what they were made with; new ones get what is new.
"""

import ssl
from pathlib import Path
from typing import Final

from evenface_core.errors import ConfigError

from evenface_server.access.watch import Watched
from evenface_server.settings import Settings, option_of

# What HTTP/2 allows of TLS 1.2 (RFC 9113, section 9.2.2): a fresh key each time, and AEAD.
_TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def watch_tls(settings: Settings) -> Watched[ssl.SSLContext] | None:
    """Read the certificates; None where TLS is off.

    Raises:
        ConfigError: A file is missing, or is not what its setting says.
    """
    cert, key, authorities = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    if cert is None or key is None:
        return None
    paths = (cert, key) if authorities is None else (cert, key, authorities)
    return Watched("tls_cert", paths, lambda: _context(cert, key, authorities))


def _context(cert: Path, key: Path, authorities: Path | None) -> ssl.SSLContext:
    _check_readable("tls_cert", cert)
    _check_readable("tls_key", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_TLS_1_2_CIPHERS)
    context.set_alpn_protocols(["h2"])
    try:
        # A password of none: else OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"--tls-cert, --tls-key: {cert} and {key} are no certificate "
            f"and its unencrypted key: {error}"
        ) from error
    if authorities is not None:
        _ask_for_certificates(authorities, context)
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
