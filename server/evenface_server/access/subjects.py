"""Which client certificates are let in, by the names in them. Transport-free."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from evenface_core.errors import ConfigError

from evenface_server.access.globs import Globs
from evenface_server.access.watch import Watched
from evenface_server.settings import Settings, option_of

_KINDS: Final = ("DNS", "URI")


def watch_subjects(settings: Settings) -> Watched[Globs] | None:
    """Read which names are let in: one a line, `*` for any text, `#` begins a comment.

    Returns:
        None where all are that the authorities vouch for.

    Raises:
        ConfigError: The file cannot be read, or names nobody.
    """
    path = settings.tls_allowed_subjects
    if path is None:
        return None
    return Watched("tls_allowed_subjects", (path,), lambda: _load(path))


def names_of(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a certificate's names: common name, then the DNS names and URIs that it is for.

    Args:
        certificate: As `ssl.SSLSocket.getpeercert` has it.
    """
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    common = [value for key, value in subject if key == "commonName"]
    others = [name for kind, name in certificate.get("subjectAltName", ()) if kind in _KINDS]
    return (*common, *others)


def _load(path: Path) -> Globs:
    option = option_of("tls_allowed_subjects")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}: {path}: {getattr(error, 'strerror', error)}") from error
    names = [name for line in lines if (name := line.split("#")[0].strip())]
    if not names:
        raise ConfigError(f"{option}: {path} names nobody; to let everybody in, write *")
    return Globs(names)
