"""How long certificates hold, beside what a library makes of them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from evenface_server.access.validity import first_to_end

KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def pem(begins: datetime, ends: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A certificate."""
    own = key or KEY
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)] * 9)  # long to tell
    builder = x509.CertificateBuilder(name, name, own.public_key(), 2**150)
    made = builder.not_valid_before(begins).not_valid_after(ends).sign(own, SHA256())
    return made.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("begins", [datetime(1951, 2, 3, tzinfo=UTC), BEGIN])
@pytest.mark.parametrize(
    "ends",
    [
        datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_times_of_both_kinds_are_read(begins: datetime, ends: datetime) -> None:
    assert first_to_end(pem(begins, ends)) == (begins.timestamp(), ends.timestamp())


def test_of_several_the_first_to_end_counts_and_the_text_between_them_does_not() -> None:
    parts = [b"subject=CN = a\n" + pem(BEGIN, BEGIN + timedelta(days=d)) for d in (9, 2, 5)]
    found = first_to_end(b"\n".join(parts))
    assert found.ends == (BEGIN + timedelta(days=2)).timestamp()


def test_labels_of_old_are_known() -> None:
    text = pem(BEGIN, BEGIN + timedelta(days=1))
    assert first_to_end(text.replace(b"CERTIFICATE", b"X509 CERTIFICATE")).begins


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        first_to_end(text)
