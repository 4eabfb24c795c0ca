"""The certificates that a server shows and asks for, read again when they change on disk.

Transport-free. Connections keep what they were made with; new ones get what is new.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evenface_core.errors import ConfigError

from evenface_server.access.validity import Validity, first_to_end
from evenface_server.access.watch import Watched
from evenface_server.settings import Settings, option_of

# What HTTP/2 allows of TLS 1.2 (RFC 9113, section 9.2.2): a fresh key each time, and AEAD.
_TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True)
class Tls:
    """What the files say.

    Attributes:
        context: For new connections.
        validities: How long certificates hold, by what they are for, "server" or "client_ca"; of
            several in a file, the one that ends first.
    """

    context: ssl.SSLContext
    validities: Mapping[str, Validity]


def watch_tls(settings: Settings) -> Watched[Tls] | None:
    """Read the certificates; None where TLS is off.

    Raises:
        ConfigError: A file is missing, or is not what its setting says.
    """
    cert, key, authorities = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    if cert is None or key is None:
        return None
    paths = (cert, key) if authorities is None else (cert, key, authorities)
    return Watched("tls_cert", paths, lambda: _load(cert, key, authorities))


def refusal_of(error: ssl.SSLError) -> str | None:
    """Say which certificate a handshake failed for; None where it was for something else.

    Returns:
        "no_certificate", "certificate_expired" or "certificate_unknown" of the client's, or
        "server_certificate", which the client has refused.
    """
    reason = error.reason or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no_certificate"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate_expired" if error.verify_code == _EXPIRED else "certificate_unknown"
    if "_ALERT_" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return "server_certificate"
    return None


def _load(cert: Path, key: Path, authorities: Path | None) -> Tls:
    context = _context(cert, key, authorities)
    validities = {"server": _validity("tls_cert", cert)}
    if authorities is not None:
        validities["client_ca"] = _validity("tls_client_ca", authorities)
    return Tls(context, validities)


def _validity(setting: str, path: Path) -> Validity:
    try:
        return first_to_end(path.read_bytes())
    except ValueError as error:
        raise ConfigError(
            f"{option_of(setting)}: {path}: cannot tell until when it holds: {error}"
        ) from error


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
