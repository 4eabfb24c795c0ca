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
_LAST_SECONDS: Final = 1.0


class Lines:
    """Writes lines, and waits for nobody who reads them.

    About 1 MiB of lines waits for a reader that is behind; a thread writes them as it goes on. What
    is more is lost, and a line in its place says how many lines that were. Files are written to as
    fast as they take it. A line may come at any time, as from a finalizer while another is written.

    Args:
        descriptor: Of the file.
        describe_lost: Makes a line, without its end, that says how many were lost.
    """

    def __init__(self, descriptor: int, describe_lost: Callable[[int], str]) -> None:
        self._descriptor, self._may_block = _without_waiting(descriptor)
        self._describe_lost = describe_lost
        self._gathered = bytearray()
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._is_writing = False
        self._writer: threading.Thread | None = None
        self._lock = threading.RLock()

    def add(self, line: str) -> None:
        """Gather a line with its end."""
        data = line.encode()
        with self._lock:
            if len(self._gathered) + len(data) > MAX_WRITE_BYTES:
                self._write()
            self._gathered += data

    def flush(self) -> None:
        """Write what has been gathered, or leave it to the thread."""
        with self._lock:
            self._write()

    def drain(self) -> None:
        """Write all that waits, as far as the reader takes it within a second."""
        end = time.monotonic() + _LAST_SECONDS
        self.flush()
        while self._waiting and self._is_writable(max(0.0, end - time.monotonic())):
            self.flush()

    def _write(self) -> None:
        if self._is_writing:  # and this is a line that came of it
            return
        self._is_writing = True
        try:
            self._take_gathered()
            self._write_waiting()
        finally:
            self._is_writing = False
        if self._waiting and self._writer is None:
            self._writer = threading.Thread(target=self._write_on, daemon=True)
            self._writer.start()

    def _take_gathered(self) -> None:
        gathered = bytes(self._gathered)
        self._gathered.clear()
        if not gathered:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._lost += gathered.count(b"\n")
            return
        if self._lost:
            self._waiting.append(f"{self._describe_lost(self._lost)}\n".encode())
            self._lost = 0
        self._waiting.append(gathered)

    def _write_waiting(self) -> None:
        try:
            while self._waiting:
                if self._may_block and not self._is_writable(0.0):
                    return
                written = os.write(self._descriptor, self._waiting[0])
                rest = self._waiting.popleft()[written:]
                if rest:
                    self._waiting.appendleft(rest)
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more, or the disk is full: serving goes on without
            self._lost += sum(data.count(b"\n") for data in self._waiting)
            self._waiting.clear()

    def _write_on(self) -> None:
        while True:
            self._is_writable(None)
            with self._lock:
                self._write()
                if not self._waiting:
                    self._writer = None
                    return

    def _is_writable(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(None if seconds is None else seconds * 1000))


def _without_waiting(descriptor: int) -> tuple[int, bool]:
    """Return a descriptor of the same file, and whether writing to it may have to wait.

    A pipe is opened anew, as the flag that keeps writes from waiting would count for all who share
    the descriptor.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor, False
    again = Path(f"/proc/self/fd/{descriptor}")
    if stat.S_ISFIFO(mode) and again.exists():
        try:
            return os.open(again, os.O_WRONLY | os.O_NONBLOCK), False
        except OSError:  # another user's, or nobody reads any more
            return descriptor, True
    return descriptor, True
