"""Folders of image files."""

from collections.abc import Iterator
from pathlib import Path

from evenface_training.sources.source import IMAGE_SUFFIXES, Item, fingerprint_files, list_files


class FolderSource:
    """All JPEG, PNG and WebP files below a folder; nothing is known of them.

    Args:
        path: The folder.

    Raises:
        DataError: There is no such folder or no image file in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = list_files(path, IMAGE_SUFFIXES, "JPEG, PNG or WebP")

    def fingerprint(self) -> str:
        """Names, sizes and times of the files."""
        return fingerprint_files("folder", ((file, self.path / file) for file in self._files))

    def count(self) -> int:
        """How many files there are."""
        return len(self._files)

    def items(self) -> Iterator[Item]:
        """Yield the files by name."""
        for file in self._files:
            yield Item(file, self.path / file)
