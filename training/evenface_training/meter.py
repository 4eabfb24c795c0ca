"""The figures of the steps, left on the device until somebody wants to read them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evenface_training.ranks import Ranks


class Meter:
    """Collects one row of figures a step, so that a step need not wait for the device.

    Args:
        names: What the figures are.
        ranks: Over which they are averaged.
    """

    def __init__(self, names: Sequence[str], ranks: Ranks) -> None:
        self._names, self._ranks = tuple(names), ranks
        self._unread: list[Tensor] = []

    def add(self, figures: Tensor) -> None:
        """Take in a step's figures, [len(names)]; they are copied."""
        self._unread.append(figures.detach().clone())

    def read(self) -> list[Mapping[str, float]]:
        """Wait for the device, and give the figures of each step since the last time."""
        if not self._unread:
            return []
        rows = self._ranks.mean(torch.stack(self._unread)).tolist()
        self._unread.clear()
        return [dict(zip(self._names, row, strict=True)) for row in rows]
