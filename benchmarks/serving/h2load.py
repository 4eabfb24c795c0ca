"""The client that makes the load: h2load of nghttp2, which costs a fraction of a core.

It sees the HTTP status alone, not gRPC's; so callers compare the bytes that came back with those
of a right answer.
"""

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.places import PAYLOADS, ROOT, relative
from benchmarks.serving.wires import HOST, Request
from benchmarks.serving.workloads import Scenario

_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s|m|h),")
_REQUESTS = re.compile(
    r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout"
)
_DATA = re.compile(r"\((\d+)\) data")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class LoadFailed(Exception):
    """h2load is missing or said something else than expected."""


@dataclass(frozen=True)
class Summary:
    """What h2load says at its end.

    Attributes:
        seconds: How long it measured.
        succeeded: Answers with HTTP status 2xx or 3xx.
        failed: Other answers, and requests without one.
        body_bytes: Bytes of all answers' bodies, as framed by gRPC.
    """

    seconds: float
    succeeded: int
    failed: int
    body_bytes: int


@dataclass(frozen=True)
class Load:
    """A run of h2load.

    Attributes:
        command: How to repeat it.
        summary: What h2load says.
        milliseconds: Time from request to the end of the answer, of each that succeeded.
        client_cpu: CPU seconds of h2load itself.
    """

    command: str
    summary: Summary
    milliseconds: NDArray[np.float64]
    client_cpu: float


def run_load(
    port: int, request: Request, scenario: Scenario, seconds: float, *, http1: bool
) -> Load:
    """Keep a scenario's number of requests in flight for some seconds.

    Raises:
        LoadFailed: h2load is missing or fails.
    """
    body = ROOT / PAYLOADS / f"{scenario.key}{request.path.replace('/', '-')}.bin"
    body.parent.mkdir(parents=True, exist_ok=True)
    body.write_bytes(request.messages[0] if http1 else request.framed)
    command = [
        *("h2load", "-D", f"{round(seconds * 1000)}ms"),
        *_connections(scenario, http1=http1),
        *(part for line in request.headers for part in ("-H", line)),
        *("-d", relative(body)),
        f"http://{HOST}:{port}{request.path}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        output, cpu = _run([*command[:1], f"--log-file={log}", *command[1:]])
        summary = parse_summary(output)
        times = parse_log(log.read_text())
    return Load(shlex.join(command), summary, times, cpu)


def parse_summary(output: str) -> Summary:
    """Read what h2load prints at its end.

    Raises:
        LoadFailed: Something is missing.
    """
    finished, requests = _FINISHED.search(output), _REQUESTS.search(output)
    data = _DATA.search(output)
    if not finished or not requests or not data:
        last = (output.strip().splitlines() or ["nothing"])[-1]
        raise LoadFailed(f"h2load ended with: {last}")
    _, succeeded, *failures = map(int, requests.groups())
    # A failed request counts as errored or timed out as well.
    seconds = float(finished[1]) * _UNITS[finished[2]]
    return Summary(seconds, succeeded, max(failures), int(data[1]))


def parse_log(text: str) -> NDArray[np.float64]:
    """Milliseconds of each answer with status 2xx in h2load's log."""
    rows = (line.split("\t") for line in text.splitlines())
    return np.array([int(row[2]) / 1000 for row in rows if row[1].startswith("2")])


def percentile(milliseconds: NDArray[np.float64], share: float) -> float:
    """A percentile of response times; NaN where there is none."""
    return float(np.percentile(milliseconds, share)) if len(milliseconds) else float("nan")


def _connections(scenario: Scenario, *, http1: bool) -> list[str]:
    if http1:
        return ["--h1", "-c", str(scenario.in_flight)]
    return ["-c", str(scenario.connections), "-m", str(scenario.streams)]


def _run(command: Sequence[str]) -> tuple[str, float]:
    """Run a command; return what it wrote and the CPU seconds it took."""
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError as error:
        raise LoadFailed("h2load is not installed (Debian: apt install nghttp2-client)") from error
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as stream:
        output = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_utime + usage.ru_stime
