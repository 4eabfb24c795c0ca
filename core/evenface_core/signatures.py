"""Signatures of bundles, as the command `model_signing` of OpenSSF makes them.

A signature lies in the bundle's folder and names the SHA-256 of every file, the manifest included,
and so the name and version that the manifest states. The library `model-signing` is imported only
where signatures are asked for (extra `signing`).
"""

import base64
import contextlib
import io
import json
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evenface_core.bundle import MANIFEST_FILE, Bundle
from evenface_core.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from model_signing.verifying import Config

_LOG = logging.getLogger(__name__)
SIGNATURE_FILE = "model.sig"

_MAX_BYTES = 2**20
_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)
_ALGORITHM = "sha256"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class Trust:
    """Whose signatures count. Small, and picklable.

    Attributes:
        path: PEM file of public keys (ECDSA, P-256, P-384 or P-521), any of which may have signed;
            or of certificates of authorities. Read at each check, so that keys can be renewed.
    """

    path: Path

    def require(self) -> None:
        """Make sure that signatures can be checked at all.

        Raises:
            ConfigError: The file holds no such key, or the extra is not installed.
        """
        try:
            with self._verifiers():
                pass
        except ImportError as error:
            raise ConfigError(
                "require-signature needs the extra 'signing': pip install 'evenface[signing]' "
                f"({error})"
            ) from error
        except OSError as error:
            raise ConfigError(f"require-signature: {self.path}: {error.strerror}") from error
        except Exception as error:
            raise ConfigError(
                f"require-signature: {self.path}: no PEM file of public keys (ECDSA) or of "
                f"certificates: {_said(error)}"
            ) from error

    def check(self, bundle: Bundle, signature: bytes | None = None) -> None:
        """Make sure that someone trusted has signed all that a bundle holds, and nothing else.

        That is the bundle as it was opened, whose manifest `Bundle.read` goes by, and not only
        what lies in its folder by now. Where certificates count, it is enough that the signer's was
        good when it began: a signature does not tell when it was made. A line of the log warns of
        one that has ended since.

        Args:
            bundle: A bundle whose files have been compared with its manifest.
            signature: What its signature file holds, where that is not in its folder.

        Raises:
            BundleError: It is not signed, by none of them, or differs from what was signed; or
                the file of keys cannot be used (any more).
        """
        data = read_signature(bundle.path) if signature is None else signature
        _check_cover(bundle, data)
        with contextlib.ExitStack() as stack:
            try:
                verifiers, by_certificate = stack.enter_context(self._verifiers())
            except Exception as error:
                raise BundleError(
                    f"{bundle.path}: {SIGNATURE_FILE} cannot be checked: {self.path}: "
                    f"{_said(error)}"
                ) from error
            self._verify(bundle, data, verifiers)
        if by_certificate:
            _warn_if_over(bundle, data)

    def _verify(self, bundle: Bundle, signature: bytes, verifiers: list["Config"]) -> None:
        """Check that one of the keys has made the signature."""
        problems = []
        with tempfile.NamedTemporaryFile(suffix=".sig") as file:
            file.write(signature)
            file.flush()
            for verifier in verifiers:
                try:
                    # The library prints a warning about signatures of old.
                    with contextlib.redirect_stdout(io.StringIO()):
                        verifier.verify(bundle.path, Path(file.name))
                except Exception as error:  # noqa: BLE001 - the library raises all kinds
                    problems.append(_said(error))
                else:
                    return
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} does not hold: {problems[-1]}")

    @contextlib.contextmanager
    def _verifiers(self) -> Iterator[tuple[list["Config"], bool]]:
        """What checks signatures, one for each key, and whether it does so by certificates.

        Their files last as long as the context.
        """
        from model_signing import verifying  # noqa: PLC0415 - of an extra, and slow to load

        data = self.path.read_bytes()
        if _CERTIFICATE in data:
            config = verifying.Config().use_certificate_verifier(certificate_chain=[self.path])
            yield [_fitted(config)], True
            return
        keys = _KEY.findall(data)
        if not keys:
            raise ValueError("it holds neither")
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.pem" for number in range(len(keys))]
            for file, key in zip(files, keys, strict=True):
                file.write_bytes(key)
            configs = [
                _fitted(verifying.Config().use_elliptic_key_verifier(public_key=file))
                for file in files
            ]
            yield configs, False


def read_signature(folder: Path) -> bytes:
    """Read the signature in a bundle's folder.

    Raises:
        BundleError: There is none, or it is far too large to be one.
    """
    path = folder / SIGNATURE_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder}: it is not signed ({SIGNATURE_FILE} is missing), and only signed bundles "
            "are to be used"
        ) from error
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise BundleError(f"{path}: above {_MAX_BYTES} bytes, so no signature")
    return data


def _fitted(verifier: "Config") -> "Config":
    # Which files are signed has been compared by then; the signature itself may lie among them.
    return verifier.set_ignore_unsigned_files(ignore_unsigned_files=True)


def _check_cover(bundle: Bundle, signature: bytes) -> None:
    """Check that the files that a signature names are those of a bundle, to the last bit.

    The signature's own statement says so, which the library compares with the signature later.
    """
    try:
        envelope = json.loads(signature)["dsseEnvelope"]
        predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
        signed = {
            str(file["name"]): (file["algorithm"], file["digest"])
            for file in predicate["resources"]
        }
        method = predicate["serialization"]["method"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} is no signature of a model") from error
    if method != "files":
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} signs '{method}', not whole files")
    entries = bundle.manifest.files.items()
    held = {MANIFEST_FILE: bundle.digest, **{name: entry.sha256 for name, entry in entries}}
    left_out, more = held.keys() - signed.keys(), signed.keys() - held.keys()
    for names, problem in ((left_out, "leaves out"), (more, "covers also")):
        if names:
            raise BundleError(
                f"{bundle.path}: {SIGNATURE_FILE} {problem} {', '.join(sorted(names))}; it must "
                f"cover {MANIFEST_FILE} and the files that this lists, and no others"
            )
    _check_digests(bundle, held, signed)


def _check_digests(
    bundle: Bundle, held: Mapping[str, str], signed: Mapping[str, tuple[object, object]]
) -> None:
    if others := sorted({str(algorithm) for algorithm, _ in signed.values()} - {_ALGORITHM}):
        raise BundleError(
            f"{bundle.path}: {SIGNATURE_FILE} signs digests by {', '.join(others)}, "
            f"not by {_ALGORITHM}"
        )
    if changed := sorted(name for name, digest in held.items() if signed[name][1] != digest):
        raise BundleError(
            f"{bundle.path}: {SIGNATURE_FILE} does not hold: not what was signed: "
            f"{', '.join(changed)}"
        )


def _warn_if_over(bundle: Bundle, signature: bytes) -> None:
    """Warn where the signer's certificate has ended: whoever has its key now may have signed."""
    from cryptography import x509  # noqa: PLC0415 - of an extra

    try:
        chain = json.loads(signature)["verificationMaterial"]["x509CertificateChain"]
        der = base64.b64decode(chain["certificates"][0]["rawBytes"])
    except (LookupError, TypeError) as error:  # the library takes other spellings too
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} is no signature of a model") from error
    certificate = x509.load_der_x509_certificate(der)
    ended = certificate.not_valid_after_utc
    if ended < datetime.now(UTC):
        facts = {
            "model": f"{bundle.manifest.name}/{bundle.manifest.version}",
            "signer": certificate.subject.rfc4514_string(),
            "ended": ended.isoformat(),
        }
        _LOG.warning("signer's certificate has ended", extra=facts)


def _said(error: Exception) -> str:
    """What an error says in a line, or its name where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
