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

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
    (folder / "names").write_text(f"subjectAltName=DNS:{server_name}\n")
    for name in ("server", "client"):
        request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("req", *_KEY, *request)
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-extfile", "names"),
        )
