"""Copies of the bundles that are served, out of the reach of whoever changes the originals.

Transport-free. Workers open these: what has served once can be opened again for a worker that
takes another's place, also when its folder has since been spoiled or removed.
"""

import hashlib
import shutil
from pathlib import Path

from evenface_core.bundle import MANIFEST_FILE, Bundle, open_bundle
from evenface_core.errors import BundleError
from evenface_core.signatures import Trust, read_signature

from evenface_server.models.plan import BundleRef, ModelKey
from evenface_server.models.watch import Found


class Store:
    """A folder of copies.

    Args:
        folder: An empty one, that no one else writes to.
        trust: Whose signatures bundles need; None for no signature.
    """

    def __init__(self, folder: Path, trust: Trust | None = None) -> None:
        self._folder = folder
        self._trust = trust
        self._loads = 0

    def keep(self, found: Found) -> BundleRef:
        """Verify a bundle and copy it.

        Raises:
            BundleError: It is damaged, incomplete, in the wrong place, not signed as it has to be,
                or cannot be copied.
        """
        self._loads += 1
        target = self._folder / f"{found.key.name}-{found.key.version}-{self._loads}"
        bundle = open_bundle(found.path)
        _check_place(bundle, found.key)
        ref = BundleRef(*found.key, bundle.digest, self._loads, str(target), str(found.path))
        try:
            _copy(bundle, target)
            self._check_signature(found, target)
        except BundleError:
            self.drop(ref)
            raise
        except OSError as error:
            self.drop(ref)
            raise BundleError(f"{found.path}: cannot be copied: {error.strerror}") from error
        return ref

    def _check_signature(self, found: Found, target: Path) -> None:
        """Check what is in the copy, which nobody can change after that."""
        if self._trust is None:
            return
        try:
            bundle = open_bundle(target)
            _check_place(bundle, found.key)
            self._trust.check(bundle, read_signature(found.path))
        except BundleError as error:
            raise BundleError(str(error).replace(str(target), str(found.path))) from error

    def drop(self, ref: BundleRef) -> None:
        """Remove a copy."""
        shutil.rmtree(ref.path, ignore_errors=True)


def _copy(bundle: Bundle, target: Path) -> None:
    target.mkdir()
    manifest = _manifest(bundle.path)
    if hashlib.sha256(manifest).hexdigest() != bundle.digest:
        raise BundleError(f"{bundle.path}: {MANIFEST_FILE} changed while it was read")
    (target / MANIFEST_FILE).write_bytes(manifest)
    for name in bundle.manifest.files:
        (target / name).write_bytes(bundle.read(name))


def _manifest(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder / MANIFEST_FILE}: {error.strerror}") from error


def _check_place(bundle: Bundle, key: ModelKey) -> None:
    said = ModelKey(bundle.manifest.name, bundle.manifest.version)
    if said != key:
        raise BundleError(
            f"{bundle.path}: its manifest says model '{said.name}' version '{said.version}'"
        )
