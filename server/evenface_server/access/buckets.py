"""Rates that hold over all worker processes: token buckets in a file that they map. Transport-free.

A client's connection sits on one worker, so that a share of the rate for each worker would be a
fraction of what the caller was promised. Here all workers draw on the same bucket instead, under a
lock of the system, which a process that dies lets go of.

A bucket is one number (the generic cell rate algorithm, ITU-T I.371, annex A): the time at which it
will be full. It never has to be filled up, and once that time has passed it says no more than one
that was never used, so that its slot may go to another without anything being lost.
"""

import fcntl
import hashlib
import mmap
import os
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

SLOTS: Final = 8192
_SLOT_BYTES: Final = 16  # whose bucket it is (uint64), and when that will be full (float64)
_BYTES: Final = SLOTS * _SLOT_BYTES
# Times are sums, and no more exact than the system's clock after months.
_TOLERANCE_SECONDS: Final = 1e-6


class Rate(NamedTuple):
    """How much may be taken from a bucket.

    Attributes:
        bucket: Its name.
        per_second: What flows in.
        capacity: What it holds, and so what may be taken at once after a rest.
    """

    bucket: str
    per_second: float
    capacity: float


class Buckets:
    """All buckets of a server.

    Not for several threads of a process: locks of files belong to the process.

    Args:
        path: The file, made where there is none; processes that name the same share the buckets.
            None for buckets of one's own.
        clock: Seconds that only ever grow, the same in all processes.

    Attributes:
        close: Lets go of the file; done in any case once nobody has this object any more.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file = _nameless() if path is None else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.truncate(self._file, _BYTES)  # by whoever comes; what is there stays
        memory = mmap.mmap(self._file, _BYTES)
        self._keys = memoryview(memory).cast("Q")[::2]
        self._times = memoryview(memory).cast("d")[1::2]
        self._slots: dict[Rate, tuple[int, int]] = {}
        self.close = weakref.finalize(self, os.close, self._file)

    def take(self, rate: Rate, amount: float, *, on_credit: bool = False) -> float:
        """Take from a bucket, if it holds enough.

        An amount beyond the capacity needs a full bucket, and is worked off before the next.

        Args:
            rate: Of the bucket; one with another rate is another bucket.
            amount: 0 asks only whether all that was taken has been worked off.
            on_credit: Whether to take it even where the bucket holds less.

        Returns:
            0 where it was taken; else the seconds after which the bucket will hold enough.
        """
        while True:
            key, slot = self._slots.get(rate) or self._claim(rate)
            at = slot * _SLOT_BYTES
            fcntl.lockf(self._file, fcntl.LOCK_EX, _SLOT_BYTES, at)
            try:
                if self._keys[slot] == key:
                    return self._draw(slot, rate, amount, on_credit=on_credit)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _SLOT_BYTES, at)
            del self._slots[rate]  # another bucket has the slot

    def _draw(self, slot: int, rate: Rate, amount: float, *, on_credit: bool) -> float:
        now = self._clock()
        missing = max(0.0, self._times[slot] - now)  # seconds until it is full
        wait = missing + (min(amount, rate.capacity) - rate.capacity) / rate.per_second
        if wait > _TOLERANCE_SECONDS and not on_credit:
            return wait
        self._times[slot] = now + missing + amount / rate.per_second
        return 0.0

    def _claim(self, rate: Rate) -> tuple[int, int]:
        """Find the slot of a bucket, or give it the one whose bucket is the nearest to full."""
        key = int.from_bytes(hashlib.sha256(repr(rate).encode()).digest()[:8])
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            found = np.flatnonzero(np.asarray(self._keys) == np.uint64(key))
            slot = int(found[0] if found.size else np.asarray(self._times).argmin())
            if not found.size:
                self._keys[slot], self._times[slot] = key, 0.0
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        if len(self._slots) >= SLOTS:
            self._slots.clear()  # most are of rates that have been changed since
        self._slots[rate] = key, slot
        return key, slot


def _nameless() -> int:
    file, name = tempfile.mkstemp(prefix="evenface-")
    Path(name).unlink()
    return file
