"""Which images are held out: whole groups of them, copies with their originals."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evenface_training.files import name_bytes

Bools = NDArray[np.bool_]
UInt64 = NDArray[np.uint64]

Key = tuple[str, str]  # what the second is the name of, and the name that the side follows from

_HASH_RANGE = 2**64


def held_out(name: str, fraction: float) -> bool:
    """Whether what has a name belongs to the validation part.

    It depends on the name alone, so adding images moves no other image to the other part.

    Args:
        name: Name of an image or of a group of images.
        fraction: Share of names to hold out.
    """
    number = int.from_bytes(hashlib.sha256(name_bytes(name)).digest()[:8], "big")
    return number < fraction * _HASH_RANGE


def hold_out(
    keys: Sequence[Key], image_digests: UInt64, partitions: Iterable[str], fraction: float
) -> Bools:
    """Choose the images of the validation part.

    All images of a key are on one side, and so are exact copies with all that shares a key with
    one of them; they go where the first of their keys goes. A partition overrules the keys; where
    it has copies or one key on both sides, all of them are learned from.

    Args:
        keys: N keys.
        image_digests: uint64 [N]; the same for exact copies.
        partitions: `train`, `validation` or "" (the key decides) for each.
        fraction: Share of keys to hold out.

    Returns:
        bool [N].
    """
    joined = _Joined()
    order = np.argsort(image_digests, kind="stable")
    copies = np.flatnonzero(image_digests[order[1:]] == image_digests[order[:-1]])
    for first, second in zip(order[copies], order[copies + 1], strict=True):
        joined.join(keys[first], keys[second])
    decided: dict[Key, bool] = {}
    for key, partition in zip(keys, partitions, strict=True):
        if partition:
            root = joined.root(key)
            decided[root] = decided.get(root, True) and partition == "validation"
    roots = (joined.root(key) for key in keys)
    held = (decided[root] if root in decided else held_out(root[1], fraction) for root in roots)
    return np.fromiter(held, np.bool_, len(keys))


class _Joined:
    """Sets of keys that must stay together, each with its first key as the root (union-find)."""

    def __init__(self) -> None:
        self._above: dict[Key, Key] = {}  # of keys that are no root themselves

    def root(self, key: Key) -> Key:
        while (above := self._above.get(key)) is not None:
            further = self._above.get(above)
            if further is not None:
                self._above[key] = further  # halves the way for whoever comes next
            key = above
        return key

    def join(self, one: Key, other: Key) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        if first != second:
            self._above[second] = first
