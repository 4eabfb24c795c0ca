"""Bundles: a model as a folder `NAME/VERSION/` of a manifest, ONNX graphs and a model card.

Nothing in a bundle is code, and nothing is used before its size and digest have been compared
with the manifest's.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evenface_core.config import parse
from evenface_core.errors import BundleError, ConfigError, InvalidInput
from evenface_core.manifest import CARD_FILE, SCHEMA_VERSION, FileEntry, Manifest

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been verified.

    Attributes:
        path: Its folder.
        manifest: Its manifest.
        digest: SHA-256 of the manifest's file, hexadecimal. It stands for the whole bundle, as the
            manifest lists the digests of all its files.
    """

    path: Path
    manifest: Manifest
    digest: str

    def read(self, name: str) -> bytes:
        """Read a file of the bundle and compare it with the manifest.

        Raises:
            BundleError: It is not listed, missing, or differs from its digest.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"{self.path}: '{name}' is not listed in {MANIFEST_FILE}")
        try:
            with (self.path / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size  # before so much memory is taken
                data = file.read(entry.size) if size == entry.size else b""
        except OSError as error:
            raise BundleError(f"{self.path / name}: {error.strerror}") from error
        if size != entry.size:
            raise BundleError(
                f"{self.path / name}: {size} bytes, but {MANIFEST_FILE} says {entry.size}"
            )
        digest = hashlib.sha256(data).hexdigest()
        if digest != entry.sha256:
            raise BundleError(
                f"{self.path / name}: SHA-256 is {digest[:12]}…, "
                f"but {MANIFEST_FILE} says {entry.sha256[:12]}…"
            )
        return data

    @property
    def card(self) -> str:
        """The model card, Markdown.

        Raises:
            BundleError: As `read`.
        """
        return self.read(CARD_FILE).decode("utf-8", errors="replace")


def open_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and verify every file that it lists.

    Args:
        path: The folder of one version.

    Returns:
        The bundle.

    Raises:
        BundleError: The manifest is missing, unreadable or of another schema version, a graph is
            not listed, or a file is missing or differs from its digest.
    """
    bundle = _read_manifest(path)
    graphs = {function.graph for function in bundle.manifest.functions.values()}
    for name in sorted({*bundle.manifest.files, *graphs, CARD_FILE}):
        bundle.read(name)
    return bundle


def _read_manifest(folder: Path) -> Bundle:
    """A bundle of which nothing but the manifest has been looked at."""
    path = folder / MANIFEST_FILE
    try:
        data = path.read_bytes()
        values = json.loads(data)
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair fits no message
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON that can be used: {error}") from error
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected a JSON object")
    if values.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema version {values.get('schema_version')!r}; "
            f"this evenface reads version {SCHEMA_VERSION}"
        )
    try:
        manifest = parse(Manifest, values, source=str(path))
    except (ConfigError, InvalidInput) as error:
        raise BundleError(str(error)) from error
    return Bundle(folder, manifest, hashlib.sha256(data).hexdigest())


def write_bundle(
    root: Path, manifest: Manifest, files: Mapping[str, bytes], *, replace: bool = False
) -> Path:
    """Write a bundle so that it appears whole or not at all.

    Args:
        root: The model directory; the bundle becomes `root/NAME/VERSION`.
        manifest: The manifest; its `files` are filled in here.
        files: Contents of the graphs and the model card by file name.
        replace: Whether an existing version may be replaced.

    Returns:
        The bundle's folder.

    Raises:
        BundleError: The version exists, or the written bundle does not verify.
        OSError: The folder cannot be written.
    """
    target = root / manifest.name / manifest.version
    if target.exists() and not replace:
        raise BundleError(f"{target}: this version exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that no server takes it for a version before it is complete.
    staging = Path(tempfile.mkdtemp(prefix=f".{manifest.version}.", dir=target.parent))
    try:
        _write_files(staging, manifest, files)
        open_bundle(staging)
        _swap_in(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


def _write_files(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o755)
    entries = {
        name: FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    }
    text = _to_json(manifest.model_copy(update={"files": entries}))
    for name, data in {**files, MANIFEST_FILE: text.encode()}.items():
        with (folder / name).open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def _to_json(manifest: Manifest) -> str:
    """One line a key: readable, and small enough to compare by eye."""
    values = manifest.model_dump(mode="json")
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _swap_in(staging: Path, target: Path) -> None:
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.rename(old / target.name)
        staging.rename(target)
        shutil.rmtree(old)
    else:
        staging.rename(target)
