"""Keeps the rest of a process away from a GPU while CUDA captures a graph.

CUDA's runtime refuses much (allocations, some copies) to every thread of a process while one of
them captures, and may give up the capture for it:
https://docs.nvidia.com/cuda/cuda-c-programming-guide/#prohibited-and-unhandled-operations
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Captures:
    """A lock that many share, and that a capture has alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._waiting = 0
        self._alone = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits to be alone."""
        return self._waiting > 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Work on the GPU together with others; waits for captures, those queued too."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self.is_wanted)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work on the GPU while nobody else does."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._alone and not self._sharing)
            self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


CAPTURES = Captures()  # of this process, as CUDA's rule is
