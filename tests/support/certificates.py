"""Certificates for tests of TLS, made by the command openssl."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make_certificates(folder: Path, server_name: str) -> None:
    """Make an authority `ca`, and certificates `server` and `client` that it signed.

    Args:
        folder: Where; each has a .pem and a .key.
        server_name: The DNS name in both certificates.
    """
    make_authority(folder, "ca")
    for name in ("server", "client"):
        make_certificate(folder, name, f"DNS:{server_name}")


def make_authority(folder: Path, name: str) -> None:
    """Make an authority, NAME.pem and NAME.key."""
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
    _openssl(folder, "req", "-x509", *_KEY, *files, "-subj", "/CN=Test CA")


def make_certificate(
    folder: Path, name: str, names: str, authority: str = "ca", days: int = 30
) -> None:
    """Make a certificate, NAME.pem and NAME.key, with NAME as its common name.

    Args:
        folder: Where; the authority is there already.
        name: Of the files.
        names: What it is for, such as "DNS:localhost,URI:spiffe://example.com/jobs".
        authority: Who signs it.
        days: How long it holds; 0 for one that is over.
    """
    (folder / "names").write_text(f"subjectAltName={names}\n")
    request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    _openssl(folder, "req", *_KEY, *request)
    _openssl(
        *(folder, "x509", "-req", "-in", f"{name}.csr"),
        *("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial"),
        *("-days", str(days)),
        *("-out", f"{name}.pem", "-extfile", "names"),
    )


def make_old_certificate(folder: Path, name: str, age: timedelta, left: timedelta) -> None:
    """Make a certificate that has held for a while, signed by itself, NAME.pem and NAME.key.

    Args:
        folder: Where.
        name: Of the files.
        age: Since it began.
        left: Until it ends.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(own, own, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - age).not_valid_after(now + left).sign(key, SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
