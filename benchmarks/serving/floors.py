"""The machine's limits without any server: the session on the graph, and JPEG decoding.

Each is run by one single-threaded process per core, all starting together; a process times itself.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from evenface_core.images import load_image

from benchmarks.serving.graph import PREPROCESSING
from benchmarks.serving.h2load import percentile
from benchmarks.serving.places import ROOT, relative
from benchmarks.serving.processes import busy_seconds
from benchmarks.serving.workloads import jpeg, pixels

_MODULE = "benchmarks.serving.floors"
_WARM_UP_SECONDS = 0.5


@dataclass(frozen=True)
class Floor:
    """What all cores together do, with nothing else to do.

    Attributes:
        command: How to repeat one process of it.
        images_per_second: Of all processes together.
        p50: Milliseconds of one step (a batch, or one file).
        p99: Likewise.
        cpu_per_image: CPU seconds.
        cores: CPU seconds per second of all processes together.
        other_cores: Likewise of everything else on the machine; noise.
    """

    command: str
    images_per_second: float
    p50: float
    p99: float
    cpu_per_image: float
    cores: float
    other_cores: float


def session_floor(graph: Path, rows: int, seconds: float, processes: int) -> Floor:
    """Run the graph on batches of some rows, one thread in each process."""
    return _measure(["session", relative(graph), str(rows)], seconds, processes)


def decode_floor(size: tuple[int, int], seconds: float, processes: int) -> Floor:
    """Decode a JPEG file to the model's size with the function that evenface uses."""
    return _measure(["decode", str(size[0]), str(size[1])], seconds, processes)


def _measure(arguments: Sequence[str], seconds: float, processes: int) -> Floor:
    command = ["-m", _MODULE, *arguments, f"{seconds:g}"]
    running = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in running:  # each says when it is ready
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdout.readline()
    busy, start = busy_seconds(), time.perf_counter()
    for process in running:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in running]
    elapsed = time.perf_counter() - start
    others = busy_seconds() - busy - sum(each["cpu"] for each in found)
    images = sum(each["images"] for each in found)
    cpu = sum(each["cpu"] for each in found)
    times = np.concatenate([each["milliseconds"] for each in found])
    return Floor(
        command=f"{processes} × python {' '.join(command)}",
        images_per_second=sum(each["images"] / each["seconds"] for each in found),
        p50=percentile(times, 50),
        p99=percentile(times, 99),
        cpu_per_image=cpu / images,
        cores=sum(each["cpu"] / each["seconds"] for each in found),
        other_cores=max(0.0, others / elapsed),
    )


def _session_step(graph: str, rows: int) -> Callable[[], int]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = {"images": pixels(rows)}
    outputs = ["mean", "log_variance"]

    def step() -> int:
        session.run(outputs, inputs)
        return rows

    return step


def _decode_step(width: int, height: int) -> Callable[[], int]:
    data = jpeg(width, height)

    def step() -> int:
        load_image(data, PREPROCESSING)
        return 1

    return step


def _repeat(step: Callable[[], int], seconds: float) -> dict[str, object]:
    images, milliseconds = 0, []
    cpu, start = time.process_time(), time.perf_counter()
    before = start
    for _ in itertools.count():
        images += step()
        now = time.perf_counter()
        milliseconds.append((now - before) * 1000)
        before = now
        if now - start >= seconds:
            break
    return {
        "images": images,
        "seconds": before - start,
        "cpu": time.process_time() - cpu,
        "milliseconds": milliseconds,
    }


def main() -> None:
    """Be one process of a floor: say that it is ready, wait for a line, run, print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    session = kinds.add_parser("session")
    session.add_argument("graph")
    session.add_argument("rows", type=int)
    decode = kinds.add_parser("decode")
    decode.add_argument("width", type=int)
    decode.add_argument("height", type=int)
    for kind in (session, decode):
        kind.add_argument("seconds", type=float)
    options = parser.parse_args()
    step = (
        _session_step(options.graph, options.rows)
        if options.kind == "session"
        else _decode_step(options.width, options.height)
    )
    _repeat(step, _WARM_UP_SECONDS)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(_repeat(step, options.seconds)))


if __name__ == "__main__":
    main()
