"""Shares of the requests that name no version. Transport-free."""

import re
from collections.abc import Mapping
from typing import Final

MAX_WEIGHT: Final = 1_000_000

_WEIGHT: Final = re.compile(r"\s*([^\s/=,]+)/([^\s/=,]+)=(\d{1,7})\s*")


def parse_weights(text: str) -> dict[str, dict[str, int]]:
    """Return the weights by model and version that a text such as "faces/1=90,faces/2=10" means.

    Raises:
        ValueError: It means none; the message says where.
    """
    weights: dict[str, dict[str, int]] = {}
    for part in text.split(","):
        found = _WEIGHT.fullmatch(part)
        if found is None or int(found[3]) > MAX_WEIGHT:
            raise ValueError(
                f"'{part.strip()}' is not NAME/VERSION=WEIGHT with a weight of 0 to {MAX_WEIGHT}"
            )
        weights.setdefault(found[1], {})[found[2]] = int(found[3])
    for name, versions in weights.items():
        if not any(versions.values()):
            raise ValueError(f"all weights of '{name}' are 0; one must be above")
    return weights


class Split:
    """Deals requests out to versions by weight, evenly mixed: 3 to 1 is 1, 1, 2, 1 over and over.

    Every version gains its weight at each request, the one that has most is taken and pays the sum
    of all weights: after any number of requests no share is off by more than a request or so, and
    nothing is left to chance.

    Args:
        weights: By version, each at least 1; at least one.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = dict(weights)
        self._total = sum(self._weights.values())
        self._credit = dict.fromkeys(self._weights, 0)

    @property
    def versions(self) -> frozenset[str]:
        """Those that get requests at all."""
        return frozenset(self._weights)

    def next(self) -> str:
        """The version that the next request goes to."""
        credit = self._credit
        for version, weight in self._weights.items():
            credit[version] += weight
        best = max(credit, key=credit.__getitem__)
        credit[best] -= self._total
        return best
