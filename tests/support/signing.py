"""Keys and certificates of signers, and bundles signed with them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from evenface_core.signatures import SIGNATURE_FILE
from model_signing import signing

_DAY = timedelta(days=1)


class Signer:
    """A key pair of its own.

    Args:
        folder: Where its files lie.
        name: Of the files.
    """

    def __init__(self, folder: Path, name: str = "signer") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self.private.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.public.write_bytes(
            self.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sign(self, bundle: Path) -> None:
        """Sign a bundle in its folder."""
        config = signing.Config().use_elliptic_key_signer(private_key=self.private)
        config.sign(bundle, bundle / SIGNATURE_FILE)


class Authority:
    """An authority for certificates, and a signer with one of them.

    Args:
        folder: Where its files lie.
        name: Of the files.
        ended: Days since the end of the signer's certificate; below 0 for one that still holds.
    """

    def __init__(self, folder: Path, name: str = "authority", ended: int = -1) -> None:
        self._ended = ended
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._signer = Signer(folder, f"{name}-signer")
        self.certificate, self._leaf = folder / f"{name}.crt", folder / f"{name}-signer.crt"
        root = self._certificate(self._name, self._key.public_key(), is_authority=True)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "model builder")])
        leaf = self._certificate(subject, self._signer.key.public_key(), is_authority=False)
        self.certificate.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self._leaf.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))

    def sign(self, bundle: Path) -> None:
        """Sign a bundle in its folder with the certificate that the authority gave."""
        config = signing.Config().use_certificate_signer(
            private_key=self._signer.private,
            signing_certificate=self._leaf,
            certificate_chain=[self.certificate],
        )
        config.sign(bundle, bundle / SIGNATURE_FILE)

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> x509.Certificate:
        end = datetime.now(UTC) + (_DAY if is_authority else -self._ended * _DAY)
        usage = x509.KeyUsage(
            digital_signature=not is_authority,
            key_cert_sign=is_authority,
            crl_sign=is_authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - (9 * _DAY if is_authority else 2 * _DAY))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        if not is_authority:
            code_signing = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(code_signing, critical=False)
        return builder.sign(self._key, hashes.SHA256())
