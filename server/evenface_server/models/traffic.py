"""Shares of the requests that name no version. Transport-free."""

from collections.abc import Mapping


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
