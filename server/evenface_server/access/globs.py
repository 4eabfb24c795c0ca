"""Names to allow, where `*` stands for any text. Transport-free."""

import re
from collections.abc import Iterable
from typing import Final

_MAX_REMEMBERED: Final = 1024


class Globs:
    """Patterns such as `FaceService/Encode*` or `*.example.com`.

    `*` stands for any text, dots and slashes too; every other character for itself.

    Args:
        patterns: In the order in which they are tried; exact names go first.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        every = tuple(patterns)
        self._found: dict[str, str | None] = {}
        self._exact = frozenset(pattern for pattern in every if "*" not in pattern)
        self._globs = tuple(
            (pattern, re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL))
            for pattern in every
            if "*" in pattern
        )

    def find(self, name: str) -> str | None:
        """Return the pattern that a name matches; None where there is none."""
        try:
            return self._found[name]
        except KeyError:
            if len(self._found) >= _MAX_REMEMBERED:
                self._found.clear()
            return self._found.setdefault(name, self._search(name))

    def _search(self, name: str) -> str | None:
        if name in self._exact:
            return name
        return next((pattern for pattern, glob in self._globs if glob.fullmatch(name)), None)
