"""Signatures of bundles, as the command `model_signing` of OpenSSF makes them.

A signature lies in the bundle's folder and names the SHA-256 of every file, the manifest included,
and so the name and version that the manifest states. The library `model-signing` is imported only
where signatures are asked for (extra `signing`).
"""

import base64
import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evenface_core.bundle import MANIFEST_FILE, Bundle
from evenface_core.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from model_signing.verifying import Config

SIGNATURE_FILE = "model.sig"

_MAX_BYTES = 2**20
_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)
_CHANGED = re.compile(r"Hash mismatch for \\*'([^'\\]+)")
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

        Args:
            bundle: A bundle whose files have been compared with its manifest.
            signature: What its signature file holds, where that is not in its folder.

        Raises:
            BundleError: It is not signed, by none of them, or differs from what was signed.
        """
        data = read_signature(bundle.path) if signature is None else signature
        _check_cover(bundle, data)
        problems = []
        with tempfile.NamedTemporaryFile(suffix=".sig") as file, self._verifiers() as verifiers:
            file.write(data)
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
    def _verifiers(self) -> Iterator[list["Config"]]:
        """What checks signatures, one for each key; their files last as long as the context."""
        from model_signing import verifying  # noqa: PLC0415 - of an extra, and slow to load

        data = self.path.read_bytes()
        if _CERTIFICATE in data:
            config = verifying.Config().use_certificate_verifier(certificate_chain=[self.path])
            yield [_fitted(config)]
            return
        keys = _KEY.findall(data)
        if not keys:
            raise ValueError("it holds neither")
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.pem" for number in range(len(keys))]
            for file, key in zip(files, keys, strict=True):
                file.write_bytes(key)
            yield [
                _fitted(verifying.Config().use_elliptic_key_verifier(public_key=file))
                for file in files
            ]


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
    """Check that the files that a signature names are those of a bundle.

    The signature's own statement says so, which the library compares with the signature later.
    """
    try:
        envelope = json.loads(signature)["dsseEnvelope"]
        predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
        signed = {str(file["name"]) for file in predicate["resources"]}
        method = predicate["serialization"]["method"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} is no signature of a model") from error
    if method != "files":
        raise BundleError(f"{bundle.path}: {SIGNATURE_FILE} signs '{method}', not whole files")
    held = {MANIFEST_FILE, *bundle.manifest.files}
    for names, problem in ((held - signed, "leaves out"), (signed - held, "covers also")):
        if names:
            raise BundleError(
                f"{bundle.path}: {SIGNATURE_FILE} {problem} {', '.join(sorted(names))}; it must "
                f"cover {MANIFEST_FILE} and the files that this lists, and no others"
            )


def _said(error: Exception) -> str:
    """What an error says in a line, or its name where it says nothing."""
    if changed := _CHANGED.findall(str(error)):  # followed by digests as bytes
        return f"not what was signed: {', '.join(changed)}"
    return " ".join(str(error).split()) or type(error).__name__
