"""Worker processes: how connections spread, and what happens when one dies, hangs or must end."""

import asyncio
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import grpc
import pytest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_client import Client
from evenface_server.supervisor.process import WORKER_MODULE, start_process
from support.bundles import Tiny, images, write_tiny_bundle
from support.messages import encode
from support.patience import PATIENCE
from support.servers import ServerProcess, scrape, server_process, until

METRICS = ("--metrics", "--metrics-port", "0")
ENCODED = (
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Encode",'
    'grpc_service="evenface.v1.FaceService",grpc_type="unary"}'
)
STARTED = (
    'grpc_server_started_total{grpc_method="Encode",'
    'grpc_service="evenface.v1.FaceService",grpc_type="unary"}'
)
INFO = re.compile(r"evenface_model_info\{.*\}")


def _metrics_of(server: ServerProcess) -> Callable[[], dict[str, float]]:
    address = str(server.wait_for("serving")["metrics_address"])
    return lambda: scrape(address)


async def _shown(samples: Callable[[], dict[str, float]], name: str, value: float) -> None:
    await until(lambda: samples().get(name) == value)


def _lone_channel(address: str) -> grpc.aio.Channel:
    """A channel with a connection of its own, which gRPC shares among channels else."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def _killed_in_the_end(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Let no process outlive its test, however that ends; one that hangs would do so for good."""
    with process:
        try:
            yield
        finally:
            process.kill()


async def test_connections_spread_evenly_over_workers(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "3", *METRICS) as server:
        samples = _metrics_of(server)
        assert server.wait_for("serving")["workers"] == 3
        channels = [_lone_channel(server.address) for _ in range(9)]
        for channel in channels:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        for channel in channels[3:]:
            await channel.close()
        names = [f'evenface_worker_connections{{worker="{place}"}}' for place in range(3)]
        await until(lambda: sum(samples()[name] for name in names) == 3)
        assert [samples()[name] for name in names] == [1, 1, 1]
        for channel in channels[:3]:
            await channel.close()
        assert server.stop() == 0


def _has_in_all(
    samples: Callable[[], Mapping[str, float]], names: Iterable[str], count: int
) -> bool:
    return sum(samples()[name] for name in names) == count


async def test_a_new_connection_goes_to_the_worker_that_has_the_fewest(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "2", *METRICS) as server:
        samples = _metrics_of(server)
        names = [f'evenface_worker_connections{{worker="{place}"}}' for place in range(2)]
        channels = [_lone_channel(server.address) for _ in range(16)]
        for channel in channels:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        await until(lambda: [samples()[name] for name in names] == [8, 8])
        # Until one has two fewer, which is not so few that others are evened out. In most runs
        # connections went to both in turn, so that every other one is of one worker.
        ended = 0
        for channel in channels[::2]:
            await channel.close()
            ended += 1
            await until(partial(_has_in_all, samples, names, 16 - ended))
            if abs(samples()[names[0]] - samples()[names[1]]) == 2:
                break
        more = [_lone_channel(server.address) for _ in range(2)]
        for channel in more:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        await until(lambda: [samples()[name] for name in names] == [9 - ended / 2] * 2)
        for channel in (*channels, *more):
            await channel.close()


def test_a_worker_killed_under_load_costs_no_call(tiny_models: Path) -> None:
    picture = images(2)
    with (
        server_process(tiny_models, "--workers", "2") as server,
        ThreadPoolExecutor(8) as callers,
        ExitStack() as clients,
    ):
        open_clients = [clients.enter_context(Client(server.address)) for _ in range(4)]
        is_over = False

        def call_on_and_on(client: Client) -> int:
            count = 0
            while not is_over:
                client.encode(picture)
                count += 1
            return count

        counts = [callers.submit(call_on_and_on, client) for client in open_clients * 2]
        try:
            for died in (1, 2, 3):
                os.kill(server.workers[0], signal.SIGKILL)
                server.wait_for_count("worker replaced", died)
        finally:
            is_over = True
        assert all(count.result() > 0 for count in counts)  # and none raised
        assert server.count("worker died") == 3
        assert server.wait_for("worker died")["cause"] == "signal SIGKILL"
        assert server.stop() == 0


async def test_connections_spread_anew_over_a_worker_that_was_replaced(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "2", *METRICS) as server:
        samples = _metrics_of(server)
        channels = [_lone_channel(server.address) for _ in range(6)]
        stubs = [FaceServiceStub(channel) for channel in channels]

        async def call_all() -> None:
            await asyncio.gather(*(stub.Encode(encode(images(1))) for stub in stubs))

        await call_all()
        os.kill(server.workers[0], signal.SIGKILL)
        server.wait_for("worker died")
        while server.count("worker replaced") == 0:  # all go to the other worker
            with suppress(grpc.aio.AioRpcError):
                await call_all()

        async def call_until_even() -> None:
            names = [f'evenface_worker_connections{{worker="{place}"}}' for place in range(2)]
            while True:
                await call_all()
                if [samples()[name] for name in names] == [3, 3]:
                    return

        await asyncio.wait_for(call_until_even(), PATIENCE)
        for channel in channels:
            await channel.close()


async def test_metrics_stay_right_when_a_worker_is_replaced(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "2", *METRICS) as server:
        samples = _metrics_of(server)
        for died in (0, 1, 2):
            for _ in range(5):
                async with _lone_channel(server.address) as channel:
                    await FaceServiceStub(channel).Encode(encode(images(1)))
            await _shown(samples, ENCODED, 5 * (died + 1))
            os.kill(server.workers[0], signal.SIGKILL)
            server.wait_for_count("worker replaced", died + 1)
        await until(lambda: any(INFO.fullmatch(name) for name in samples()))
        found = samples()
        assert found[ENCODED] == 15
        assert [value for name, value in found.items() if INFO.fullmatch(name)] == [1]
        assert found["evenface_workers{}"] == 2
        places = (f'evenface_worker_restarts_total{{worker="{place}"}}' for place in range(2))
        assert sum(found[place] for place in places) == 3


async def test_a_connection_waits_while_the_only_worker_is_replaced(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "1") as server:
        address = server.address
        os.kill(server.workers[0], signal.SIGKILL)
        server.wait_for("worker died")
        async with _lone_channel(address) as channel:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        assert server.stop() == 0


def test_a_crash_loop_is_reported_and_ends_the_server(tiny_models: Path) -> None:
    with server_process(tiny_models, "--workers", "2") as server:
        server.wait_for("serving")
        kept, doomed = server.workers
        for died in range(1, 6):
            os.kill(doomed, signal.SIGKILL)
            if died < 5:
                server.wait_for_count("worker replaced", died)
                (doomed,) = (pid for pid in server.workers if pid != kept)
        assert server.process.wait(PATIENCE) == 1
        reason = server.wait_for("giving up")["reason"]
        assert re.fullmatch(
            r"worker \d died 5 times in a row; the last time: signal SIGKILL", reason
        )
        assert server.wait_for("giving up")["level"] == "error"
        assert server.wait_for("stopped")["all_answered"] is True
        assert not _is_running(kept)


def test_no_process_and_no_copy_outlives_a_killed_supervisor(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with server_process(tiny_models, "--workers", "3") as server:
        server.wait_for("serving")
        assert list(tmp_path.glob("evenface-*")) != []
        workers = server.workers
        os.kill(workers[0], signal.SIGSTOP)
        server.process.kill()
        server.wait_until(lambda: not any(map(_is_running, workers[1:])))
        os.kill(workers[0], signal.SIGCONT)
        server.wait_until(lambda: not _is_running(workers[0]))
    assert list(tmp_path.glob("evenface-*")) == []


def test_what_processes_share_is_locked_against_what_cleans_up_old_files(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with server_process(tiny_models, "--workers", "1") as server:
        server.wait_for("serving")
        (shared,) = tmp_path.glob("evenface-*")
        folder = os.open(shared, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(folder)
        assert server.stop() == 0
    assert not shared.exists()


def test_workers_that_start_end_with_a_killed_supervisor(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # whose folder they do not know yet
    with server_process(tiny_models, "--workers", "3") as server:
        server.wait_until(lambda: len(server.workers) == 3)
        workers = server.workers
        server.process.kill()
        server.wait_until(lambda: not any(map(_is_running, workers)))
        assert server.count("serving") == 0


def test_a_group_told_to_end_before_it_serves_ends_well(
    tiny_models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_process(tiny_models, "--workers", "2") as server:
        server.wait_until(lambda: len(server.workers) == 2)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(PATIENCE) == 0
        server.wait_for("stopped")
        assert server.count("serving") == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_is_deaf_to_signals_from_its_first_moment(number: signal.Signals) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = start_process(WORKER_MODULE, theirs)
        worker.send_signal(number)
    with _killed_in_the_end(worker):
        assert worker.wait(PATIENCE) == 1  # as its supervisor is gone, not -number


HANGING = """
import socket, sys, threading, time
from evenface_server.worker import _end_with_supervisor

arguments = int(sys.argv[1]), lambda: 0.0
threading.Thread(target=_end_with_supervisor, args=arguments, daemon=True).start()
print("hangs", flush=True)
end = time.monotonic() + 60  # not for good, whatever becomes of the test
while time.monotonic() < end:
    pass
"""


def test_a_worker_whose_event_loop_hangs_ends_with_its_supervisor() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            worker = subprocess.Popen(
                [sys.executable, "-c", HANGING, str(theirs.fileno())],
                stdout=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
            )
        with _killed_in_the_end(worker):
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"hangs\n"
            assert worker.poll() is None
            ours.close()
            assert worker.wait(PATIENCE) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_whole_group_drains_all_workers(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=1.0))
    options = ("--workers", "2", "--max-batch-rows", "1", *METRICS)
    with server_process(tmp_path, *options) as server:
        samples = _metrics_of(server)
        channels = [_lone_channel(server.address) for _ in range(2)]
        calls = [FaceServiceStub(channel).Encode(encode(images(3))) for channel in channels]
        await _shown(samples, STARTED, 2)
        assert not any(call.done() for call in calls)
        os.killpg(server.process.pid, number)
        replies = await asyncio.gather(*calls)
        assert [list(reply.mean.shape) for reply in replies] == [[3, 4]] * 2
        for channel in channels:
            await channel.close()
        assert await asyncio.to_thread(server.process.wait, PATIENCE) == 0
        assert server.wait_for("stopped")["all_answered"] is True
