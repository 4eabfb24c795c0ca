"""Certificates for tests of TLS, made by the command openssl."""

import subprocess
from pathlib import Path

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


def make_certificate(folder: Path, name: str, names: str, authority: str = "ca") -> None:
    """Make a certificate, NAME.pem and NAME.key, with NAME as its common name.

    Args:
        folder: Where; the authority is there already.
        name: Of the files.
        names: What it is for, such as "DNS:localhost,URI:spiffe://example.com/jobs".
        authority: Who signs it.
    """
    (folder / "names").write_text(f"subjectAltName={names}\n")
    request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    _openssl(folder, "req", *_KEY, *request)
    _openssl(
        *(folder, "x509", "-req", "-in", f"{name}.csr"),
        *("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial"),
        *("-out", f"{name}.pem", "-extfile", "names"),
    )


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
