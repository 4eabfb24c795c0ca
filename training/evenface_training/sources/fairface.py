"""FairFace: a CSV of labels for each of two folders."""

from collections.abc import Iterator
from pathlib import Path

from evenface_core.errors import DataError

from evenface_training.sources.source import Item, Partition, fingerprint_files
from evenface_training.sources.tables import FILE_COLUMN, read_rows

_LISTS: dict[str, Partition] = {
    "fairface_label_train.csv": "train",
    "fairface_label_val.csv": "validation",
}
_COLUMNS = ("age", "gender", "race", "service_test")


class FairfaceSource:
    """The images that FairFace's CSV files name.

    Labels are `age` (a group such as `20-29`), `gender`, `race` and `service_test`. Where both CSV
    files are there, they are the partition; of one alone, a share is held out as usual.

    Args:
        path: Folder of the CSV files; their `file` is a path below it.

    Raises:
        DataError: Neither of them is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lists = {path / name: part for name, part in _LISTS.items() if (path / name).exists()}
        if not self._lists:
            raise DataError(f"{path}: neither {' nor '.join(_LISTS)} in it")

    def fingerprint(self) -> str:
        """Names, sizes and times of the CSV files and the images."""
        return fingerprint_files("fairface", self._files())

    def count(self) -> int:
        """How many lines the CSV files have."""
        return sum(1 for path in self._lists for _ in read_rows(path, _COLUMNS))

    def items(self) -> Iterator[Item]:
        """Yield the images in the order of the CSV files."""
        partitioned = len(self._lists) == len(_LISTS)
        for path, partition in self._lists.items():
            for row in read_rows(path, _COLUMNS):
                file = row.pop(FILE_COLUMN)
                yield Item(file, self.path / file, row, partition if partitioned else None)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in self._lists:
            yield path.name, path
            for row in read_rows(path, _COLUMNS):
                yield row[FILE_COLUMN], self.path / row[FILE_COLUMN]
