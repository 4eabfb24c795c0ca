"""The registry: which models and versions are served, and which one a request means.

Transport-free. A bundle that cannot be opened is refused with its reason while the others serve.
"""

import difflib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenface_core.errors import BundleError, ConfigError, ModelNotFound
from evenface_core.manifest import FunctionName, Manifest
from evenface_runtime import Model

from evenface_server.batching import Lane

_LOG = logging.getLogger(__name__)
_FALLBACK_NAME = "faces"
_MAX_LISTED = 20


@dataclass(frozen=True)
class ServedModel:
    """A model, the lanes that its functions are called through, and its card in Markdown."""

    model: Model
    lanes: Mapping[FunctionName, Lane]
    card: str

    @property
    def manifest(self) -> Manifest:
        """What the model is and can do."""
        return self.model.manifest

    def stop(self) -> None:
        """Let go of the threads."""
        for lane in self.lanes.values():
            lane.stop()


class Registry:
    """The models that are served, fixed once made.

    Args:
        models: At least one; versions of one name in any order.
        default: Name for requests that name no model; None where they must.
    """

    def __init__(self, models: Sequence[ServedModel], default: str | None) -> None:
        self.default = default
        self._by_name: dict[str, dict[str, ServedModel]] = {}
        for served in sorted(models, key=_order):
            versions = self._by_name.setdefault(served.manifest.name, {})
            versions[served.manifest.version] = served

    def __iter__(self) -> Iterator[ServedModel]:
        """All models by name, then version, oldest first."""
        for versions in self._by_name.values():
            yield from versions.values()

    def resolve(self, name: str, version: str) -> ServedModel:
        """Find what a request means.

        Args:
            name: Of the model; empty for the default.
            version: Empty for the newest.

        Raises:
            ModelNotFound: There is none; the message lists what there is.
        """
        wanted = name or self.default
        if wanted is None:
            raise ModelNotFound(f"name a model: there is no default; {_listing(self._by_name)}")
        versions = self._by_name.get(wanted)
        if versions is None:
            raise ModelNotFound(f"no model '{wanted[:100]}'; {_listing(self._by_name)}")
        if not version:
            return next(reversed(versions.values()))
        if version not in versions:
            raise ModelNotFound(
                f"model '{wanted}' has no version '{version[:100]}'; {_listing(versions)}"
            )
        return versions[version]

    def is_default(self, served: ServedModel) -> bool:
        """Whether requests that name neither model nor version get this one."""
        return self.default is not None and self.resolve("", "") is served


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
    return Registry(served, _choose_default(default, names))


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions by their numbers: 1.9 < 1.10, 2-rc1 < 2-rc2."""
    parts = re.findall(r"\d+|[^\d]+", version)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def _order(served: ServedModel) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    return served.manifest.name, version_key(served.manifest.version)


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


def _choose_default(wanted: str | None, names: Sequence[str]) -> str | None:
    if wanted is not None and wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise ConfigError(f"default_model: no model '{wanted}' is served{hint}; {_listing(names)}")
    if wanted is not None:
        return wanted
    if len(names) == 1:
        return names[0]
    return _FALLBACK_NAME if _FALLBACK_NAME in names else None


def _listing(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
    return f"there are: {', '.join(known[:_MAX_LISTED])}{more}"
