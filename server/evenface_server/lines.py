"""Whole lines to a file or a pipe, several at once where they come fast. Transport-free."""

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

# Several processes write to one pipe, which keeps writes of up to so many bytes whole (PIPE_BUF).
MAX_WRITE_BYTES: Final = 4096
_MAX_WAITING: Final = 256  # writes: about 1 MiB
_PATIENCE_SECONDS: Final = 1.0


class Lines:
    """Writes lines, and does not wait long for who reads them from a pipe.

    About 1 MiB of lines waits for a reader that is behind, and the process for a second in all.
    What is more is lost; once the reader goes on, it is told how many lines that were. Files are
    written to as fast as they take it.

    Args:
        descriptor: Of the file.
        describe_lost: Makes a line, without its end, that says how many were lost.
    """

    def __init__(self, descriptor: int, describe_lost: Callable[[int], str]) -> None:
        self._descriptor = _own(descriptor)
        self._describe_lost = describe_lost
        self._gathered = bytearray()
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._patience = _PATIENCE_SECONDS
        self._lock = threading.Lock()

    def add(self, line: str) -> bool:
        """Gather a line with its end; whether it is the first since the last flush."""
        data = line.encode()
        with self._lock:
            if len(self._gathered) + len(data) > MAX_WRITE_BYTES:
                self._write()
            is_first = not self._gathered
            self._gathered += data
        return is_first

    def flush(self) -> bool:
        """Write what has been gathered; whether some of it waits for the reader."""
        with self._lock:
            self._write()
            return bool(self._waiting)

    def drain(self) -> None:
        """Write all that waits, as far as the reader takes it within a second."""
        with self._lock:
            self._write()
            self._patience = _PATIENCE_SECONDS
            while self._waiting and self._has_waited():
                self._write_waiting()

    def _write(self) -> None:
        if self._gathered:
            self._waiting.append(bytes(self._gathered))
            self._gathered.clear()
        self._write_waiting()
        while len(self._waiting) > _MAX_WAITING:
            if self._has_waited():
                self._write_waiting()
            else:
                self._lost += self._waiting.pop().count(b"\n")

    def _write_waiting(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._descriptor, self._waiting[0])
                rest = self._waiting.popleft()[written:]
                if rest:
                    self._waiting.appendleft(rest)
                elif self._lost and not self._waiting:
                    self._waiting.append(f"{self._describe_lost(self._lost)}\n".encode())
                    self._lost = 0
            self._patience = _PATIENCE_SECONDS
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more, or the disk is full: serving goes on without
            self._waiting.clear()

    def _has_waited(self) -> bool:
        """Wait until the reader takes more; whether it does, while there is patience left."""
        if self._patience <= 0:
            return False
        poll, began = select.poll(), time.monotonic()
        poll.register(self._descriptor, select.POLLOUT)
        is_ready = bool(poll.poll(self._patience * 1000))
        self._patience -= time.monotonic() - began
        return is_ready


def _own(descriptor: int) -> int:
    """Open a pipe anew, so that no write waits: the flag would count for all who share it."""
    again = Path(f"/proc/self/fd/{descriptor}")
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode) or not again.exists():
        return descriptor
    try:
        return os.open(again, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody reads any more
        return descriptor
