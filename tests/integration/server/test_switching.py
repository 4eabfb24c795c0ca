"""Versions that come, change and go while the server, a process with workers, answers."""

import asyncio
import gc
import os
import re
import shutil
import signal
import sys
import threading
import weakref
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import pytest
from evenface_client import AsyncClient, NotFound
from evenface_core.errors import ConfigError
from evenface_server.models import watch
from evenface_server.models.plan import ModelKey
from evenface_server.models.watch import Sight
from evenface_server.settings import Settings
from evenface_server.supervisor.keeper import CrashLoop, Patience
from evenface_server.supervisor.supervisor import Supervisor
from support.bundles import Tiny, expected_mean, images, variants, write_tiny_bundle
from support.messages import encode
from support.operators import operated
from support.servers import ServerProcess, running, scrape, until

PICTURES = images(2)
METRICS = ("--metrics", "--metrics-port", "0")
INFO = re.compile(
    r'evenface_model_info\{.*is_default="(?P<default>\w+)".*version="(?P<version>\w+)"'
)
REFUSED = 'evenface_bundles_refused_total{model="faces",version="1"}'


def write(root: Path, *versions: str) -> None:
    """Versions whose means differ: by 0 for the first, by 1 for the second, …"""
    for tiny in variants(Tiny(), *versions):
        write_tiny_bundle(root, tiny)


def lone_client(address: str) -> AsyncClient:
    """A client with a connection of its own that never tries again."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return AsyncClient(channel=grpc.aio.insecure_channel(address, options=options))


async def answered(client: AsyncClient, version: str = "") -> str:
    """Which version answered; its answer is right."""
    reply = await client.encode(PICTURES, version=version)
    served = reply.model.version
    np.testing.assert_allclose(reply.mean, expected_mean(PICTURES, int(served) - 1), atol=1e-5)
    return served


def defaults(metrics_address: str) -> dict[str, str]:
    """Which versions the metrics show, and whether each is the default."""
    found = (INFO.search(name) for name in scrape(metrics_address))
    return {match["version"]: match["default"] for match in found if match}


def refusals(server: ServerProcess) -> dict[str, str]:
    """What the log says of refused bundles, by "name/version"."""
    lines = [line for line in server.lines if line["event"] == "bundle refused"]
    return {"/".join(Path(line["bundle"]).parts[-2:]): line["reason"] for line in lines}


def children_of(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


async def more_than(counts: Counter[str], total: int) -> None:
    await until(lambda: counts.total() > total)


async def test_nothing_fails_during_fifty_switches_under_load(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")
    async with operated(tmp_path, "--watch-interval", "0", "--log-level", "info") as operator:
        counts: Counter[str] = Counter()
        switching = True

        async def call_on_and_on() -> None:
            async with lone_client(operator.server.address) as client:
                while switching:
                    counts[await answered(client)] += 1
                    counts["named " + await answered(client, "1")] += 1

        async def stream_on_and_on() -> None:
            async with lone_client(operator.server.address) as client:
                while switching:
                    async for item in client.encode_stream(PICTURES.repeat(20, axis=0)):
                        counts[f"streamed {item.unwrap().model.version}"] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(call_on_and_on())
            group.create_task(stream_on_and_on())
            for switch in range(50):
                await (operator.load("2") if switch % 2 else operator.unload("2"))
                await more_than(counts, counts.total() + 4)
            switching = False
        assert operator.server.stop() == 0
    assert set(counts) == {"1", "2", "named 1", "streamed 1", "streamed 2"}


async def test_a_version_comes_changes_and_goes_with_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "models", "1")
    write(tmp_path / "spare", "1", "2")
    async with (
        operated(tmp_path / "models", *METRICS) as operator,
        lone_client(operator.server.address) as client,
    ):
        two = tmp_path / "models" / "faces" / "2"
        two.mkdir()
        await operator.wait_for(v1="SERVING", v2="REFUSED")
        for file in (tmp_path / "spare" / "faces" / "2").iterdir():
            shutil.copy(file, two)
        await operator.wait_for(v1="SERVING", v2="SERVING")
        assert await answered(client) == "2"
        address = str(operator.server.wait_for("serving")["metrics_address"])
        await until(lambda: defaults(address) == {"1": "false", "2": "true"})
        shutil.rmtree(two)
        await operator.wait_for(v1="SERVING")
        assert await answered(client) == "1"
        await until(lambda: defaults(address) == {"1": "true"})

        graph = tmp_path / "models" / "faces" / "1" / "encode.onnx"
        graph.write_bytes(graph.read_bytes()[:-1])
        await until(lambda: "faces/1" in refusals(operator.server))
        assert "bytes, but manifest.json says" in refusals(operator.server)["faces/1"]
        assert await answered(client) == "1"
        await until(lambda: scrape(address).get(REFUSED) == 1)


async def test_the_default_model_goes_on_when_its_last_folder_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "1")
    write_tiny_bundle(tmp_path, Tiny(name="other"))
    async with (
        operated(tmp_path) as operator,
        lone_client(operator.server.address) as client,
    ):
        shutil.rmtree(tmp_path / "faces")
        await asyncio.to_thread(operator.server.wait_for, "models whose folders are gone stay")
        assert await answered(client) == "1"
        (one, _) = (await operator.status()).models
        assert (one.version, one.reason) == ("1", "its folder is gone")


async def test_traffic_is_split_by_weight_among_requests_that_name_no_version(
    tmp_path: Path,
) -> None:
    write(tmp_path, "1", "2", "3")
    async with (
        operated(tmp_path) as operator,
        lone_client(operator.server.address) as client,
    ):
        await operator.split(v1=3, v2=1)
        counts = Counter([await answered(client) for _ in range(40)])
        assert counts == {"1": 30, "2": 10}
        assert await answered(client, "3") == "3"
        listed = {model.version: model.is_default for model in await client.models()}
        assert listed == {"1": True, "2": True, "3": False}
        (split,) = (await operator.status()).traffic
        assert (split.model, dict(split.weights)) == ("faces", {"1": 3, "2": 1})
        await operator.split()
        assert await answered(client) == "3"


async def test_a_new_version_gets_no_traffic_beyond_its_weight(tmp_path: Path) -> None:
    write(tmp_path / "spare", "1", "2")
    shutil.copytree(tmp_path / "spare" / "faces" / "1", tmp_path / "models" / "faces" / "1")
    async with (
        operated(tmp_path / "models", "--traffic", "faces/1=3,faces/2=1") as operator,
        lone_client(operator.server.address) as client,
    ):
        assert {await answered(client) for _ in range(4)} == {"1"}
        shutil.copytree(tmp_path / "spare" / "faces" / "2", tmp_path / "models" / "faces" / "2")
        await operator.wait_for(v1="SERVING", v2="SERVING")
        assert Counter([await answered(client) for _ in range(8)]) == {"1": 6, "2": 2}


async def test_a_worker_that_takes_anothers_place_serves_the_same(tmp_path: Path) -> None:
    write(tmp_path, "1", "2", "3")
    async with operated(tmp_path) as operator:
        await operator.unload("3")
        await operator.split(v1=1)
        shutil.rmtree(tmp_path / "faces" / "2")
        (tmp_path / "faces" / "1" / "encode.onnx").write_text("spoilt")
        await operator.wait_for(v1="SERVING", v3="UNLOADED")
        await until(lambda: "faces/1" in refusals(operator.server))
        plan = (await operator.status()).plan
        for worker in children_of(operator.server.process.pid):
            os.kill(worker, signal.SIGKILL)
        await until(
            lambda: [x["event"] for x in operator.server.lines].count("worker replaced") == 2
        )
        status = await operator.status()
        assert (status.workers, status.plan) == (2, plan)
        for _ in range(4):
            async with lone_client(operator.server.address) as client:
                assert await answered(client) == "1"
                with pytest.raises(NotFound, match="there are: 1"):
                    await client.encode(PICTURES, version="2")


async def test_what_is_unloaded_leaves_neither_sessions_nor_threads(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")

    def threads() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("faces/2/")]

    async with running(tmp_path) as server:
        await server.face.Encode(encode(PICTURES, version="2"))
        model = weakref.ref(server.app.engine.registry.resolve("faces", "2").model)
        assert threads()
        gc.disable()  # nobody waits for the collector to come by
        try:
            await server.curator.unload(ModelKey("faces", "2"))
            assert model() is None
        finally:
            gc.enable()
        await until(lambda: not threads())


def supervised(root: Path, module: str, patience: Patience) -> Supervisor:
    """A supervisor of one worker of another kind, and of the models in `root/models`."""
    settings = Settings.model_validate(
        {"models": root / "models", "port": 0, "metrics": False, "workers": 1, "device": "cpu"}
    )
    return Supervisor(settings, root, module=module, patience=patience)


async def test_a_bundle_that_ends_workers_is_refused_and_no_crash_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    write(tmp_path / "models", "1")
    supervisor = supervised(tmp_path, "support.fatal_worker", Patience(deaths=1))
    try:
        with pytest.raises(ConfigError, match="no usable bundle"):
            await supervisor.listen()
    finally:
        await supervisor.stop()


async def test_workers_that_die_while_models_are_looked_for_are_a_crash_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    answers = threading.Event()

    def hang(_: Path) -> Sight:
        answers.wait()
        return {}

    monkeypatch.setattr(watch, "scan", hang)
    supervisor = supervised(tmp_path, "support.mortal_worker", Patience(deaths=2))
    try:
        with pytest.raises(CrashLoop, match="worker 0 died 2 times"):
            await supervisor.listen()
    finally:
        answers.set()
        await supervisor.stop()
