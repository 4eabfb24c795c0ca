"""What is served at the start. Transport-free.

A bundle that cannot be opened is refused with its reason while the others serve.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evenface_core.errors import BundleError, ConfigError
from evenface_core.manifest import Manifest

from evenface_server.models.names import choose_default
from evenface_server.models.registry import Registry, ServedModel

_LOG = logging.getLogger(__name__)


def load_registry(
    folder: Path, default: str | None, open_one: Callable[[Path], ServedModel]
) -> Registry:
    """Open every bundle of a model directory.

    Args:
        folder: Holds NAME/VERSION folders; hidden ones are skipped.
        default: Name of the default model; None for the only one, or for 'faces'.
        open_one: Opens one bundle.

    Raises:
        ConfigError: The folder is missing or unreadable, no bundle in it is good, or the default
            is not among them.
    """
    served = list(_open_all(_version_folders(folder), open_one))
    if not served:
        raise ConfigError(f"models: {folder}: no usable bundle (the log names the reasons)")
    names = sorted({one.manifest.name for one in served})
    return Registry(served, choose_default(default, names))


def _version_folders(folder: Path) -> list[Path]:
    try:
        names = [path for path in sorted(folder.iterdir()) if _is_visible_folder(path)]
        return [
            path for name in names for path in sorted(name.iterdir()) if _is_visible_folder(path)
        ]
    except OSError as error:
        raise ConfigError(f"models: {error.filename}: {error.strerror}") from error


def _is_visible_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _open_all(
    folders: Iterable[Path], open_one: Callable[[Path], ServedModel]
) -> Iterator[ServedModel]:
    for path in folders:
        try:
            served = open_one(path)
            _check_place(served.manifest, path)
        except BundleError as error:
            _LOG.error("bundle refused", extra={"bundle": str(path), "reason": str(error)})
        else:
            yield served


def _check_place(manifest: Manifest, path: Path) -> None:
    if (manifest.name, manifest.version) != (path.parent.name, path.name):
        raise BundleError(
            f"{path}: its manifest says model '{manifest.name}' version '{manifest.version}'"
        )
