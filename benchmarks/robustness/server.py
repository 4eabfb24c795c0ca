"""A server as a process of its own, and what its processes hold."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenface_core.errors import EvenfaceError

from benchmarks.serving.places import program

_STOP_SECONDS = 60.0


class NotServing(EvenfaceError):
    """The server did not start; stderr says why."""


@contextmanager
def serving(*options: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """Run `evenface-server` on free ports; it is asked to end with the context.

    Yields:
        The process, and the line with which it says that it serves.

    Raises:
        NotServing: It ended before.
    """
    command = [program("evenface-server"), "--port", "0", "--metrics-port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process, _wait_until_serving(process)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _wait_until_serving(process: "subprocess.Popen[str]") -> dict[str, Any]:
    for line in process.stdout or ():
        facts: dict[str, Any] = json.loads(line)
        if facts["event"] == "serving":
            # The log of calls must go on being read; none of it is of interest here.
            subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            return facts
    raise NotServing("the server did not start")


def tree(pid: int) -> list[int]:
    """A process and all that come of it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in tree(int(child)))]


def memory(pid: int) -> int:
    """Bytes that a process and all that come of it hold, shared ones divided (PSS)."""
    total = 0
    for process in tree(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total
