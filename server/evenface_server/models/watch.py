"""What there is in the model directory, seen from outside. Transport-free; opens no bundle.

A bundle counts as changed when the system's facts about any of its files change. Nothing is done
about a change before two looks in a row have found the same, so that a folder that is being copied
or removed is let be.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evenface_core.errors import ConfigError
from evenface_core.manifest import check_name

from evenface_server.models.plan import ModelKey

# Of each file its name, device, inode, size and time of change; or why they cannot be had.
Identity = tuple[object, ...]


@dataclass(frozen=True)
class Found:
    """A folder that may hold a bundle.

    Attributes:
        key: Version and model that its place stands for.
        path: The folder.
        identity: Differs whenever a file in it does.
    """

    key: ModelKey
    path: Path
    identity: Identity


Sight = Mapping[ModelKey, Found]


@dataclass(frozen=True)
class View:
    """Two looks at the directory.

    Attributes:
        found: What there is now.
        before: What there was one look ago.
    """

    found: Sight
    before: Sight

    def is_settled(self, key: ModelKey) -> bool:
        """Whether both looks have found the same of a version, be it nothing."""
        return self.found.get(key) == self.before.get(key)


class Watcher:
    """Looks at a model directory again and again.

    Args:
        folder: Holds NAME/VERSION folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: Sight = {}

    def look(self) -> View:
        """Look, and compare with the look before.

        Raises:
            ConfigError: The directory cannot be read.
        """
        before, self._last = self._last, scan(self.folder)
        return View(self._last, before)

    def look_now(self) -> View:
        """Look, and take what there is for settled.

        Raises:
            ConfigError: The directory cannot be read.
        """
        self._last = scan(self.folder)
        return View(self._last, self._last)


def scan(folder: Path) -> Sight:
    """Find the version folders of a model directory; hidden ones are skipped, links followed.

    Raises:
        ConfigError: The directory, or the folder of a model, cannot be read.
    """
    try:
        return {found.key: found for name in _folders(folder) for found in _versions(name)}
    except OSError as error:
        raise ConfigError(f"models: {error.filename}: {error.strerror}") from error


def find(folder: Path, key: ModelKey) -> Found | None:
    """Find the folder of one version; None where there is none."""
    path = folder / key.name / key.version
    return Found(key, path, identity_of(path)) if path.is_dir() else None


def identity_of(folder: Path) -> Identity:
    """Return the facts about the files in a folder."""
    try:
        return tuple(_facts(path) for path in sorted(folder.iterdir()))
    except OSError as error:
        return (error.errno,)


def _versions(name: Path) -> Iterator[Found]:
    try:
        folders = _folders(name)
    except FileNotFoundError:  # since the directory above was listed
        return
    except PermissionError:
        if _may_be_model(name):
            raise
        return  # such as the lost+found of a volume
    for path in folders:
        yield Found(ModelKey(name.name, path.name), path, identity_of(path))


def _may_be_model(folder: Path) -> bool:
    try:
        check_name(folder.name)
    except ValueError:
        return False
    return True


def _folders(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and p.is_dir()]


def _facts(path: Path) -> Identity:
    try:
        facts = path.stat()  # of what a link leads to
    except OSError as error:
        return path.name, error.errno
    if stat.S_ISDIR(facts.st_mode):
        return (path.name,)
    return path.name, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
