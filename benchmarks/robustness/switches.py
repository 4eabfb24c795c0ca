"""Switches versions under load: `python -m benchmarks.robustness.switches`.

Two versions of one bundle. While callers call again at once and never retry, the second comes and
goes: half of the times by order of the admin service, half of the times with its folder. No call
may fail, and none should wait much longer than without switches, which is measured before.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from evenface.v1 import admin_service_pb2 as pb
from evenface.v1.admin_service_pb2_grpc import AdminServiceStub
from evenface_client import AsyncClient
from evenface_client.errors import EvenfaceClientError
from evenface_core.cli import guarded

from benchmarks.robustness.server import memory, serving
from benchmarks.serving.machine import describe
from benchmarks.serving.places import ROOT

_RESULTS = ROOT / "benchmarks" / "results"
_MIB = 2**20
_WATCH_SECONDS, _POLL_SECONDS, _WARM_UP_SECONDS, _QUIET_SECONDS = 0.25, 0.02, 2.0, 10.0
# Workers remember for a minute what latents a model has served.
_SETTLE_SECONDS = 65.0
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))

Switch = Callable[[], Awaitable[None]]


@dataclass
class Callers:
    """What callers see.

    Attributes:
        calls: When each ended, and how many seconds it took.
        versions: That answered.
        failures: By their text.
    """

    calls: list[tuple[float, float]] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    async def call_on_and_on(self, address: str, image: Any) -> None:  # noqa: ANN401 - an array
        """Call until cancelled, on a connection of its own."""
        channel = grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
        async with channel, AsyncClient(channel=channel) as client:
            while True:
                started = time.monotonic()
                try:
                    self.versions[(await client.encode(image)).model.version] += 1
                except EvenfaceClientError as error:
                    self.failures[str(error)[:120]] += 1
                ended = time.monotonic()
                self.calls.append((ended, ended - started))

    def between(self, start: float, end: float) -> dict[str, float]:
        """How long the calls took that ended in a span of time."""
        milliseconds = [1000 * took for ended, took in self.calls if start <= ended < end]
        p50, p99 = np.percentile(milliseconds, (50, 99))
        return {
            "calls_per_second": round(len(milliseconds) / (end - start), 1),
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
            "longest_ms": round(max(milliseconds), 2),
        }


class Operator:
    """Switches, and waits until the switch is made everywhere.

    Args:
        address: Of the admin service.
        spare: The second version's bundle.
        models: The model directory.
    """

    def __init__(self, address: str, spare: Path, models: Path) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self._admin: Any = AdminServiceStub(self.channel)
        self._spare = spare
        self._place = models / "faces" / "2"

    async def load(self) -> None:
        """Bring the second version, by order."""
        await self._admin.LoadModel(pb.LoadModelRequest(model="faces", version="2"))

    async def unload(self) -> None:
        """Take the second version out, by order."""
        await self._admin.UnloadModel(pb.UnloadModelRequest(model="faces", version="2"))

    async def copy(self) -> None:
        """Bring the second version, with its folder."""
        await asyncio.to_thread(shutil.copytree, self._spare, self._place)
        await self._until([("1", "SERVING"), ("2", "SERVING")])

    async def remove(self) -> None:
        """Take the second version out, with its folder."""
        await asyncio.to_thread(shutil.rmtree, self._place)
        await self._until([("1", "SERVING")])

    async def _until(self, wanted: list[tuple[str, str]]) -> None:
        while True:
            status = await self._admin.GetStatus(pb.GetStatusRequest())
            states = [(m.version, pb.ModelState.Name(m.state)[12:]) for m in status.models]
            if states == wanted:
                return
            await asyncio.sleep(_POLL_SECONDS)


def main() -> int:
    """Switch, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.switches")
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "faces" / "1")
    options = parser.parse_args()
    return guarded(lambda: asyncio.run(_measure(options)))


async def _measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        models, spare = Path(folder, "models"), Path(folder, "spare")
        shutil.copytree(options.bundle, models / "faces" / "1")
        size = _second_version(options.bundle, spare)
        with serving("--models", str(models), "--admin-port", "0",
                     "--watch-interval", str(_WATCH_SECONDS)) as (process, facts):  # fmt: skip
            operator = Operator(str(facts["admin_address"]), spare, models)
            image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
            callers = Callers()
            work = [
                asyncio.create_task(callers.call_on_and_on(str(facts["address"]), image))
                for _ in range(options.callers)
            ]
            result = await _switch(options.switches, operator, callers, process.pid)
            for each in work:
                each.cancel()
            await asyncio.wait(work)
            await operator.channel.close()
    _write(options, result)


async def _switch(count: int, operator: Operator, callers: Callers, pid: int) -> dict[str, object]:
    await asyncio.sleep(_WARM_UP_SECONDS)
    for switch in (operator.copy, operator.remove):  # so that memory is compared with its like
        await switch()
    begun = time.monotonic()
    before = memory(pid)
    await asyncio.sleep(_QUIET_SECONDS)
    started = time.monotonic()
    seconds: dict[str, list[float]] = {"by_folder": [], "by_order": []}
    for _ in range(count // 4):
        seconds["by_folder"] += [await _time(operator.copy), await _time(operator.remove)]
    await operator.copy()
    await operator.unload()
    for _ in range((count - 2 * (count // 4)) // 2):
        seconds["by_order"] += [await _time(operator.load), await _time(operator.unload)]
    ended = time.monotonic()
    await asyncio.sleep(_SETTLE_SECONDS)
    return {
        "switches": sum(map(len, seconds.values())),
        "calls": len(callers.calls),
        "failed": dict(callers.failures),
        "answered_by": dict(callers.versions),
        "without_switches": callers.between(begun, started),
        "while_switching": callers.between(started, ended),
        "median_seconds_a_switch": {k: round(float(np.median(v)), 3) for k, v in seconds.items()},
        "memory_mib": {"before": round(before / _MIB, 1), "after": round(memory(pid) / _MIB, 1)},
    }


async def _time(switch: Switch) -> float:
    started = time.monotonic()
    await switch()
    return time.monotonic() - started


def _second_version(bundle: Path, target: Path) -> int:
    """Copy a bundle as version 2; return the size of its images."""
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["version"] = "2"
    (target / "manifest.json").write_text(json.dumps(manifest))
    return int(manifest["preprocessing"]["size"])


def _write(options: argparse.Namespace, result: dict[str, object]) -> None:
    facts = {
        "command": f"python -m benchmarks.robustness.switches --switches {options.switches} "
        f"--callers {options.callers}",
        "machine": describe(()),
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    (_RESULTS / "switches.json").write_text(json.dumps({**facts, **result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    raise SystemExit(main())
