"""Compares what a call costs a server before there was tracing, without, and with it.

    python -m benchmarks.engine.tracing REVISION

All servers run at once, with one worker each, and take turns of so many calls; what counts is the
CPU time of each server's own processes, its exporter's included. One side runs the sources of
REVISION, from before tracing; two run today's without it, and differ by what is chance alone.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import EncodeRequest
from tqdm import tqdm

from benchmarks.engine.compare import SOURCES, export
from benchmarks.robustness.server import tree

_ROOT = Path(__file__).parents[2]
_PATH = "/evenface.v1.FaceService/Encode"
_SIDES: Mapping[str, Sequence[str]] = {
    "before": (),
    "off": (),
    "off again": (),
    "on, 1 %": ("--tracing", "--tracing-ratio", "0.01"),
    "on, 100 %": ("--tracing", "--tracing-ratio", "1"),
}
_IN_FLIGHT = 8


class Side(NamedTuple):
    """One server.

    Attributes:
        pid: Of its supervisor.
        channel: To it.
    """

    pid: int
    channel: grpc.aio.Channel

    def cpu(self) -> float:
        """Microseconds of CPU that its processes have had."""
        tasks = (task for pid in tree(self.pid) for task in Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e3

    async def cost(self, calls: int) -> float:
        """Microseconds of CPU a call, over so many calls."""
        call: Any = self.channel.unary_unary(_PATH)
        message, left = _message(), calls

        async def caller() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call(message)

        before = self.cpu()
        await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
        return (self.cpu() - before) / calls


def _message() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    raw = common_pb2.RawImages(data=pixels.tobytes(), height=64, width=64, channels=3)
    return EncodeRequest(images=common_pb2.Images(raw=raw)).SerializeToString()


class _Sink(BaseHTTPRequestHandler):
    """Takes spans and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read a request and answer it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _collect(ready: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    ready.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def _collector() -> Iterator[str]:
    """The address of a collector in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_collect, args=(theirs,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{ours.recv()}"
    process.terminate()
    process.join()


@contextmanager
def _serving(root: Path, endpoint: str, options: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Run the server of a tree; its process id and address."""
    path = os.pathsep.join(str(root / source) for source in SOURCES)
    command = [sys.executable, "-m", "evenface_server", "--port", "0", "--no-metrics"]
    more = ["--workers", "1", "--models", str(_ROOT / "models"), *options]
    environment = {**os.environ, "PYTHONPATH": path, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    process = subprocess.Popen(
        [*command, *more], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        lines = (json.loads(line) for line in process.stdout or ())
        address = next(str(line["address"]) for line in lines if line["event"] == "serving")
        subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield process.pid, address
    finally:
        process.terminate()
        process.wait(60)


@asynccontextmanager
async def _sides(before: Path) -> AsyncIterator[Mapping[str, Side]]:
    with ExitStack() as opened:
        endpoint = opened.enter_context(_collector())
        sides = {}
        for name, options in _SIDES.items():
            root = before if name == "before" else _ROOT
            pid, address = opened.enter_context(_serving(root, endpoint, options))
            sides[name] = Side(pid, grpc.aio.insecure_channel(address))
        yield sides
        for side in sides.values():
            await side.channel.close()


async def _measure(before: Path, rounds: int, calls: int) -> Mapping[str, list[float]]:
    costs: dict[str, list[float]] = {name: [] for name in _SIDES}
    async with _sides(before) as sides:
        for side in sides.values():
            await side.cost(calls)
        for number in tqdm(range(rounds), unit="round"):
            names = list(sides)
            turned = names[number % len(names) :] + names[: number % len(names)]
            for name in turned:
                costs[name].append(await sides[name].cost(calls))
    return costs


def _report(costs: Mapping[str, list[float]], command: str, calls: int) -> str:
    rounds = len(costs["before"])
    lines = [
        "# What tracing costs\n",
        f"`{command}`: Encode of one raw image of 64×64, {_IN_FLIGHT} in flight, {rounds} rounds",
        f"of {calls} calls a side, taking turns; CPU of all processes of a server. Ratios are of a",
        "round's costs to those of `before`; microseconds hold for this machine and day alone.\n",
        "| server | µs of CPU a call, median | ratio, median | half of the rounds |",
        "|---|---|---|---|",
    ]
    for name, own in costs.items():
        ratios = [one / base for one, base in zip(own, costs["before"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        lines.append(
            f"| {name} | {statistics.median(own):.0f} | {middle:.3f} | {low:.3f} to {high:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table and write it beside the figures."""
    parser = argparse.ArgumentParser(description="What tracing costs a call, in CPU.")
    parser.add_argument("revision", help="a commit from before there was tracing")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=400, help="of a side in a round")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        export(options.revision, Path(folder))
        costs = asyncio.run(_measure(Path(folder), options.rounds, options.calls))
    command = (
        f"python -m benchmarks.engine.tracing {options.revision} --rounds {options.rounds} "
        f"--calls {options.calls}"
    )
    report = _report(costs, command, options.calls)
    (options.out / "tracing.md").write_text(report)
    (options.out / "tracing.json").write_text(json.dumps({"command": command, "costs": costs}))
    print(report)


if __name__ == "__main__":
    main()
