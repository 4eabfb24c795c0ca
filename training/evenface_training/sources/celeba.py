"""CelebA as its authors hand it out: aligned images, attributes, partitions, identities."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from evenface_core.errors import DataError

from evenface_training.sources.source import Item, Partition, fingerprint_files

_FOLDERS = ("", "Anno", "Eval", "Img")  # where the authors' archives have their files
_IMAGES = "img_align_celeba"
_ATTRIBUTES = "list_attr_celeba.txt"
_PARTITIONS = "list_eval_partition.txt"
_IDENTITIES = "identity_CelebA.txt"

_VALUES = ("1", "-1")
_TEST = "2"
_PARTITION_NAMES: dict[str, Partition] = {"0": "train", "1": "validation"}

Line = tuple[str, list[str]]  # a file's name and the cells after it


class CelebaSource:
    """The training and validation images of CelebA; its test images are left alone.

    Labels are the 40 attributes, `1` or `-1`, and `identity` where `identity_CelebA.txt` is there.

    Args:
        path: Folder of `img_align_celeba`, `list_attr_celeba.txt` and `list_eval_partition.txt`,
            which may also lie in `Anno`, `Eval` and `Img` below it.

    Raises:
        DataError: One of them is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._images = _require(path, _IMAGES)
        self._attributes = _require(path, _ATTRIBUTES)
        self._partitions = _require(path, _PARTITIONS)
        self._identities = _find(path, _IDENTITIES)

    def fingerprint(self) -> str:
        """Names, sizes and times of the lists and the images."""
        return fingerprint_files("celeba", self._files())

    def count(self) -> int:
        """How many images are not for testing."""
        return sum(cells != [_TEST] for _, cells in _read(self._partitions, 1))

    def items(self) -> Iterator[Item]:
        """Yield the images in the order of the lists, which are read side by side."""
        count, names = _read_header(self._attributes)
        lists = {
            self._attributes: _read(self._attributes, len(names), skip=2),
            self._partitions: _read(self._partitions, 1),
        }
        if self._identities is not None:
            lists[self._identities] = _read(self._identities, 1)
        number = 0
        for number, lines in enumerate(zip_longest(*lists.values()), 1):
            file, cells = _aligned(number, lines, list(lists))
            labels = self._labels(file, names, cells[0])
            if self._identities is not None:
                labels["identity"] = cells[2][0]
            partition = self._partition(file, *cells[1])
            if partition is not None:
                yield Item(file, self._images / file, labels, partition)
        if number != count:
            raise DataError(
                f"{self._attributes}: {number} images, but its first line says {count}; it is cut"
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in (self._attributes, self._partitions, self._identities):
            if path is not None:
                yield path.name, path
        for file, cells in _read(self._partitions, 1):
            if cells != [_TEST]:
                yield file, self._images / file

    def _labels(self, file: str, names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
        for name, cell in zip(names, cells, strict=True):
            if cell not in _VALUES:
                raise DataError(
                    f"{self._attributes}: {name} of {file} is '{cell}', neither 1 nor -1"
                )
        return dict(zip(names, cells, strict=True))

    def _partition(self, file: str, cell: str) -> Partition | None:
        if cell not in {*_PARTITION_NAMES, _TEST}:
            raise DataError(
                f"{self._partitions}: the partition of {file} is '{cell}', none of 0 (training), "
                "1 (validation) and 2 (test)"
            )
        return _PARTITION_NAMES.get(cell)


def _find(folder: Path, name: str) -> Path | None:
    places = (folder / below / name for below in _FOLDERS)
    return next((place for place in places if place.exists()), None)


def _require(folder: Path, name: str) -> Path:
    found = _find(folder, name)
    if found is None:
        raise DataError(f"{folder}: no {name} in it, nor in {', '.join(_FOLDERS[1:])} below it")
    return found


def _read_header(path: Path) -> tuple[int, list[str]]:
    """The count of images and the names of the attributes."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first, names = file.readline().strip(), file.readline().split()
    if not first.isdecimal() or not names:
        raise DataError(
            f"{path}: the first line is '{first[:40]}' and the second has {len(names)} names; "
            "a count of images and the names of attributes are needed"
        )
    return int(first), names


def _read(path: Path, cells: int, *, skip: int = 0) -> Iterator[Line]:
    """Yield lines of a file's name and so many cells."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if number <= skip or not line.strip():
                continue
            file, *values = line.split()
            if len(values) != cells:
                raise DataError(
                    f"{path}: line {number} ({file}) has {len(values)} values instead of {cells}; "
                    "it may be cut"
                )
            yield file, values


def _aligned(
    number: int, lines: Sequence[Line | None], paths: Sequence[Path]
) -> tuple[str, list[list[str]]]:
    """The file that all lists are at, and its cells in each."""
    found = [line for line in lines if line is not None]
    files = {file for file, _ in found}
    if len(found) != len(lines) or len(files) != 1:
        where = ", ".join(
            f"{path.name} has {line[0] if line else 'no more'}"
            for path, line in zip(paths, lines, strict=True)
        )
        raise DataError(
            f"{paths[0].parent}: the lists differ at image {number}: {where}; they must name the "
            "same images in the same order"
        )
    return files.pop(), [cells for _, cells in found]
