"""Real Prometheus on real servers: alerts fire on faults that are made, and clear; the dashboard.

Four servers, each a job of its own: "steady" is used as it should be, "idle" not at all, and its
certificate will have ended in a day; "faulty"
is overloaded, fails, loses a worker, finds a bad bundle and is asked about other images than its
model was trained on; "gone" is killed, and comes again. Prometheus sees each fault of them all at
the same time, by the rules of the chart in a world that is a hundred times faster.
"""

import itertools
import json
import math
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_client import Client
from evenface_server.access.tokens import digest_of
from numpy.typing import NDArray
from support.bundles import SIZE, Tiny, images, write_tiny_bundle
from support.certificates import make_authority, make_certificate, make_old_certificate
from support.messages import encode
from support.ports import free_port
from support.prometheus import (
    ALERTS,
    DASHBOARD,
    Prometheus,
    hastened,
    installed,
    prometheus,
    runbooks,
)
from support.servers import ServerProcess, server_process

TOKEN = "of-tests"  # noqa: S105
FASTER = 100
_TLS_FILES = (("cert", "pem"), ("key", "key"))
# By job. What fires beside these is a false alarm.
EXPECTED = {
    ("faulty", "EvenfaceBundleRefused"),
    ("faulty", "EvenfaceDrift"),
    ("faulty", "EvenfaceErrors"),
    ("faulty", "EvenfaceErrorsSlow"),
    ("faulty", "EvenfaceOverload"),
    ("faulty", "EvenfaceWorkerCrash"),
    ("gone", "EvenfaceDown"),
    ("gone", "EvenfaceUnreachable"),
    ("idle", "EvenfaceCertificateEnds"),
}


@dataclass
class World:
    """What runs; `gone` changes."""

    prometheus: Prometheus
    steady: ServerProcess
    faulty: ServerProcess
    gone: ServerProcess
    good: Path
    bad: Path
    certificates: Path


def _metrics(server: ServerProcess) -> str:
    return str(server.wait_for("serving")["metrics_address"])


@contextmanager
def again_and_again(*actions: Callable[[], object]) -> Iterator[None]:
    """Do things, each in a thread, with a pause between; what they raise is raised in the end."""
    over = threading.Event()

    def repeat(action: Callable[[], object]) -> None:
        while not over.wait(0.05):
            action()

    with ThreadPoolExecutor(len(actions)) as threads:
        repeated = [threads.submit(repeat, action) for action in actions]
        try:
            yield
        finally:
            over.set()
    for one in repeated:
        one.result()


@contextmanager
def steady_use(server: ServerProcess) -> Iterator[None]:
    """Use all that the server can do, as it is meant to be used."""
    with Client(server.address, token=TOKEN) as client:
        seeds = itertools.count()

        def use() -> None:
            some = images(60, next(seeds))  # no two are the same, which would look like drift
            latents = client.encode(some).mean
            client.decode(latents[:2])
            client.classify(some)
            list(client.encode_stream(some))

        with again_and_again(use):
            yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All servers, and a Prometheus that has seen each of them answer."""
    installed("prometheus")
    folder = tmp_path_factory.mktemp("world")
    good, bad = folder / "good", folder / "bad"
    write_tiny_bundle(good)
    write_tiny_bundle(bad)
    write_tiny_bundle(bad, Tiny(name="broken", broken="white"))
    write_tiny_bundle(bad, Tiny(name="slow", encode_seconds=0.02))
    make_authority(folder, "ca")
    make_certificate(folder, "renewed", "DNS:localhost", days=90)
    make_old_certificate(folder, "server", timedelta(days=89), timedelta(days=1))
    tokens = folder / "tokens.yaml"
    tokens.write_text(f"tokens: [{{name: tests, sha256: {digest_of(TOKEN).hex()}}}]")
    (folder / "prometheus").mkdir()
    with ExitStack() as stack:

        def start(models: Path, *options: str) -> ServerProcess:
            every = ("--metrics", f"--metrics-port={free_port()}", "--workers=1")
            return stack.enter_context(server_process(models, *every, *options))

        tls = [f"--tls-{name}={folder / f'server.{end}'}" for name, end in _TLS_FILES]
        steady, idle, gone = start(good, f"--tokens-file={tokens}"), start(good, *tls), start(good)
        limits = (
            "--workers=2",
            "--max-queue-rows=250",
            "--max-items-per-request=250",
            "--watch-interval=0.1",
        )
        faulty = start(bad, "--default-model=faces", *limits)
        jobs = {"steady": steady, "idle": idle, "faulty": faulty, "gone": gone}
        targets = {job: _metrics(server) for job, server in jobs.items()}
        rules = hastened(ALERTS.read_text(), FASTER)
        running = stack.enter_context(prometheus(folder / "prometheus", targets, rules))
        running.wait_until(lambda: len(running.query("evenface_workers > 0")) == 4, "four servers")
        yield World(running, steady, faulty, gone, good, bad, folder)


def _fired(prometheus: Prometheus) -> set[tuple[str, str]]:
    """Job and name of each alert that has fired since the beginning."""
    found = prometheus.query('max_over_time(ALERTS{alertstate="firing"}[1h])')
    return {(labels["job"], labels["alertname"]) for labels, _ in found}


def _true_on_a_busy_machine(world: World) -> set[tuple[str, str]]:
    """What may fire where the machine does not keep up with the faster world."""
    late = world.prometheus.query("min_over_time(up[1h]) == 0")  # a scrape has taken over a second
    unreachable = ("EvenfaceDown", "EvenfaceUnreachable")
    # A server that takes nine seconds to start has no worker for a quarter of an hour there.
    return {(labels["job"], alert) for labels, _ in late for alert in unreachable} | {
        ("gone", "EvenfaceNoWorkers")
    }


def _alerts(prometheus: Prometheus) -> list[dict[str, Any]]:
    return list(prometheus.ask("alerts")["alerts"])


def _advised() -> dict[str, set[str]]:
    """All queries that runbooks give, with those of their alerts that are expected to fire."""
    found: dict[str, set[str]] = {}
    for alert, text in runbooks().items():
        for query in re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found.setdefault(query, set()).update({alert} & {name for _, name in EXPECTED})
    return found


def test_alerts_fire_on_faults_of_running_servers_and_clear(world: World) -> None:
    seen: dict[tuple[str, str], dict[str, Any]] = {}

    def have_all_fired() -> bool:
        for alert in _alerts(world.prometheus):
            if alert["state"] == "firing":
                seen[alert["labels"]["job"], alert["labels"]["alertname"]] = alert
        return seen.keys() >= EXPECTED

    with steady_use(world.steady), _faults(world):
        world.prometheus.wait_until(have_all_fired, f"all of {EXPECTED}")
        answers = {query: world.prometheus.query(query) for query in _advised()}
    with steady_use(world.steady), _mended(world):
        world.prometheus.wait_until(lambda: not _alerts(world.prometheus), "no alert")
    assert EXPECTED <= _fired(world.prometheus) <= EXPECTED | _true_on_a_busy_machine(world)
    assert [query for query, alerts in _advised().items() if alerts and not answers[query]] == []
    said = " ".join(text for one in seen.values() for text in one["annotations"].values())
    assert "<" not in said  # as Prometheus says what it cannot fill in: <no value>, <error …>


def _asking(stub: FaceServiceStub, model: str, pixels: NDArray[np.uint8]) -> Callable[[], None]:
    """What encodes images, and does not mind to be refused."""
    request = encode(pixels, model=model)

    def ask() -> None:
        with suppress(grpc.RpcError):
            stub.Encode(request)

    return ask


@contextmanager
def _faults(world: World) -> Iterator[None]:
    """Whatever can go wrong, all at once."""
    many = images(250)
    white = np.full((3, SIZE, SIZE, 3), 255, np.uint8)
    own = (("grpc.use_local_subchannel_pool", 1),)  # a connection, so that both workers have some
    with ExitStack() as stack:
        address = world.faulty.address
        channels = [stack.enter_context(grpc.insecure_channel(address, own)) for _ in range(8)]
        stubs = [FaceServiceStub(channel) for channel in channels]
        overload = [_asking(stub, "slow", many) for stub in stubs]
        drift = [_asking(stub, "faces", many // np.uint8(2)) for stub in stubs[:2]]
        with again_and_again(*overload, *drift, _asking(stubs[0], "broken", white)):
            write_tiny_bundle(world.bad, Tiny(version="2", broken="bytes"))
            world.gone.process.send_signal(signal.SIGKILL)
            os.kill(world.faulty.workers[0], signal.SIGKILL)
            yield


@contextmanager
def _mended(world: World) -> Iterator[None]:
    """All is well again; images are as those of training, so that the drift becomes less."""
    port = _metrics(world.gone).rpartition(":")[2]
    options = ("--metrics", f"--metrics-port={port}", "--workers=1")
    for _, end in _TLS_FILES:
        shutil.copy(world.certificates / f"renewed.{end}", world.certificates / f"server.{end}")
    seeds = itertools.count()
    with ExitStack() as stack:
        stack.enter_context(server_process(world.good, *options))
        clients = [stack.enter_context(Client(world.faulty.address)) for _ in range(2)]
        with again_and_again(*(lambda c=c: c.encode(images(60, next(seeds))) for c in clients)):
            yield


BOARD = json.loads(DASHBOARD.read_text())
QUERIES = {
    f"{panel['title']} {panel['id']} {target['refId']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel.get("targets", ())
} | {note["name"]: note["expr"] for note in BOARD["annotations"]["list"]}
VARIABLES = {
    variable["name"]: variable["query"]["query"]
    for variable in BOARD["templating"]["list"]
    if variable["type"] == "query"
}
# As Grafana puts them in, the interval for a scrape a second.
CHOSEN = {"$namespace": "(faces)", "$job": "(steady|faulty|idle)", "$__rate_interval": "4s"}


def _asked(query: str) -> str:
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    return query


def test_every_query_of_the_dashboard_has_an_answer_that_makes_sense(world: World) -> None:
    found: dict[str, list[float]] = {}

    def have_all_answers() -> bool:
        for name, query in QUERIES.items():
            values = [value for _, value in world.prometheus.query(_asked(query))]
            found[name] = [value for value in values if math.isfinite(value)]
        return all(found.values())

    write_tiny_bundle(world.bad, Tiny(version="2", broken="bytes"))
    with steady_use(world.steady):
        world.prometheus.wait_until(have_all_answers, "an answer to each query")
    assert found["Workers 6 A"] == [4]
    assert found["Requests 2 A"][0] > 0
    assert 0 <= found["Server errors 3 A"][0] <= 1
    assert 0 <= found["Refused: load 4 A"][0] <= 1
    assert max(found["Time of a call 11 A"]) <= max(found["Time of a call 11 B"])
    assert min(found["Rows in a batch 19 A"]) >= 1
    assert min(found["Memory of workers 27 A"]) > 2**25
    assert sum(found["CPU 26 A"]) < 4
    assert min(found["Certificates: time left 33 A"]) > 0


def test_the_dashboard_s_variables_list_namespaces_and_jobs(world: World) -> None:
    listed = {}
    for name, query in VARIABLES.items():
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", _asked(query))
        assert asked is not None
        listed[name] = world.prometheus.ask(f"label/{asked[2]}/values", **{"match[]": asked[1]})
    jobs = ["faulty", "gone", "idle", "steady"]
    assert listed == {"namespace": ["faces"], "job": jobs}
