"""UTKFace: what is known of a face stands in its file's name."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from evenface_core.errors import DataError

from evenface_training.sources.source import IMAGE_SUFFIXES, Item, fingerprint_files, list_files

_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+\.")
_GENDERS = ("male", "female")
_RACES = ("White", "Black", "Asian", "Indian", "other")
# First age of each group; the groups are those of FairFace.
_AGE_GROUPS = {70: "more than 70", 60: "60-69", 50: "50-59", 40: "40-49", 30: "30-39"} | {
    20: "20-29",
    10: "10-19",
    3: "3-9",
    0: "0-2",
}


class UtkfaceSource:
    """Images named `age_gender_race_date.jpg`.

    Labels are `age`, `age_group` (as in FairFace), `gender` and `race`. A few of the data set's
    own names lack a part: nothing is known of those.

    Args:
        path: The folder, searched recursively.

    Raises:
        DataError: There is no such folder, or no name in it is of this form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = list_files(path, IMAGE_SUFFIXES, "JPEG, PNG or WebP")
        if not any(map(read_name, self._files)):
            raise DataError(
                f"{path}: no file is named age_gender_race_date.jpg (gender 0 or 1, race 0 to 4); "
                f"the first is {self._files[0]}"
            )

    def fingerprint(self) -> str:
        """Names, sizes and times of the files."""
        return fingerprint_files("utkface", ((file, self.path / file) for file in self._files))

    def count(self) -> int:
        """How many files there are."""
        return len(self._files)

    def items(self) -> Iterator[Item]:
        """Yield the files by name."""
        for file in self._files:
            yield Item(file, self.path / file, read_name(file))


def read_name(file: str) -> dict[str, str]:
    """The labels in a file's name; none if it is not of the form."""
    found = _NAME.match(PurePosixPath(file).name)
    if found is None:
        return {}
    age = int(found["age"])
    return {
        "age": str(age),
        "age_group": next(group for first, group in _AGE_GROUPS.items() if age >= first),
        "gender": _GENDERS[int(found["gender"])],
        "race": _RACES[int(found["race"])],
    }
