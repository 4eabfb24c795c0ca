"""SIGTERM, SIGINT and what they do to calls; a client that dies."""

import asyncio
import collections
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface.v1.face_service_pb2 import EncodeStreamRequest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_server.bulk import Bulk
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.bundles import Tiny, expected_mean, images, write_tiny_bundle
from support.messages import array, details, encode
from support.patience import PATIENCE
from support.servers import admitted, running, scrape, server_process, until

SLOW = Tiny(encode_seconds=0.02)
METRICS = ("--metrics", "--metrics-port", "0")
VERY_SLOW = Tiny(encode_seconds=1.0)


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("slow")
    write_tiny_bundle(root, SLOW)
    return root


async def test_sigterm_under_load_answers_every_admitted_request(slow_models: Path) -> None:
    codes: collections.Counter[StatusCode] = collections.Counter()
    picture = images(1)
    with server_process(slow_models, "--max-batch-rows", "4") as server:

        async def call_until_refused(channel: grpc.aio.Channel) -> None:
            stub = FaceServiceStub(channel)
            for _ in range(10_000):
                try:
                    await stub.Encode(encode(picture))
                    codes[StatusCode.OK] += 1
                except grpc.aio.AioRpcError as error:
                    codes[error.code()] += 1
                    return
                if codes[StatusCode.OK] == 64:
                    server.process.send_signal(signal.SIGTERM)

        channels = [grpc.aio.insecure_channel(server.address) for _ in range(4)]
        await asyncio.gather(*(call_until_refused(c) for c in channels for _ in range(8)))
        for channel in channels:
            await channel.close(None)
        assert server.process.wait(PATIENCE) == 0
        assert server.wait_for("stopped")["all_answered"] is True
        answered = sum(line.get("code") == "OK" for line in server.lines)
    assert set(codes) == {StatusCode.OK, StatusCode.UNAVAILABLE}
    assert codes[StatusCode.UNAVAILABLE] == 32
    assert codes[StatusCode.OK] == answered


async def test_health_reports_not_serving_before_requests_are_refused(slow_models: Path) -> None:
    async with running(slow_models) as server:
        drain = asyncio.create_task(server.drain(delay=0.5, grace=5.0))
        health = health_pb2_grpc.HealthStub(server.channel)
        for service in ("", "evenface.v1.FaceService", "evenface.v1.ModelService"):
            reply = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
        await server.face.Encode(encode(images(1)))
        assert await drain


async def test_without_grace_an_idle_server_still_ends_well(slow_models: Path) -> None:
    async with running(slow_models) as server:
        assert await server.drain(delay=0.0, grace=0.0)


async def test_a_request_that_comes_after_all_is_told_when_to_come_back(slow_models: Path) -> None:
    async with running(slow_models) as server:
        server.app.engine.door.close()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.Encode(encode(images(1)))
        found = details(caught.value)
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert found.info.reason == "SERVICE_UNAVAILABLE"
        assert found.retries[0].retry_delay.ToTimedelta().total_seconds() > 0


async def test_no_call_fails_when_one_of_two_servers_drains_though_nobody_tries_again(
    tiny_models: Path, tmp_path: Path
) -> None:
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.enable_retries", 0)]
    write_tiny_bundle(tmp_path, Tiny(version="other"))
    async with running(tiny_models) as one, running(tmp_path) as other:
        answered: collections.Counter[str] = collections.Counter()
        enough = asyncio.Event()

        async def call_on_and_on(stub: Any) -> None:  # noqa: ANN401 - an asynchronous stub
            while not enough.is_set():
                answered[(await stub.Encode(encode(images(1)))).version] += 1

        target = f"ipv4:{one.address},{other.address}"
        async with grpc.aio.insecure_channel(target, options) as channel:
            stub = FaceServiceStub(channel)
            calls = asyncio.gather(*(call_on_and_on(stub) for _ in range(8)))
            await until(lambda: min(answered["1"], answered["other"]) >= 20)
            assert await one.drain(delay=0.0, grace=20.0)
            before = answered.total()
            await until(lambda: answered.total() >= before + 50 or calls.done())
            enough.set()
            await calls


async def test_a_call_that_was_admitted_is_answered_before_the_end(slow_models: Path) -> None:
    async with running(slow_models) as server:
        running_call = server.face.Encode(encode(images(600)))
        await admitted(server.app, 600)
        assert await server.drain(delay=0.0, grace=60.0)
        reply = await running_call
        assert array(reply.mean).shape == (600, 4)


async def test_draining_answers_what_a_stream_has_sent_and_then_ends_it(slow_models: Path) -> None:
    picture = images(1)
    async with running(slow_models) as server:
        open_stream: Any = server.face.EncodeStream
        stream = open_stream()
        await stream.write(EncodeStreamRequest(id=1, request=encode(picture)))
        first = await stream.read()
        await stream.write(EncodeStreamRequest(id=2, request=encode(images(600))))
        await admitted(server.app, 600)
        assert await server.drain(delay=0.0, grace=20.0)
        second = await stream.read()
        assert (first.id, second.id) == (1, 2)
        assert len(array(second.response.mean)) == 600
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert details(caught.value).info.reason == "SERVICE_UNAVAILABLE"


async def test_draining_answers_what_a_stream_has_read_and_not_begun(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tiny_models) as server:
        is_read = asyncio.Event()
        take = Bulk.take

        def taken(bulk: Any, item: Any, deadline: float | None) -> Any:  # noqa: ANN401 - of any stream
            is_read.set()  # so that draining goes on in the very next turn
            return take(bulk, item, deadline)

        async def leave() -> None:
            await is_read.wait()

        monkeypatch.setattr(Bulk, "take", taken)
        monkeypatch.setattr(server.app._server, "leave", leave)  # noqa: SLF001
        draining = asyncio.create_task(server.drain(delay=0.0, grace=20.0))
        open_stream: Any = server.face.EncodeStream
        stream = open_stream()
        await stream.write(EncodeStreamRequest(id=1, request=encode(images(1))))
        reply = await stream.read()
        assert not reply.error.code, reply.error
        assert await draining


async def test_an_open_health_watch_sees_the_end_and_does_not_hold_it_up(
    slow_models: Path,
) -> None:
    async with running(slow_models) as server, asyncio.timeout(PATIENCE):
        stub = health_pb2_grpc.HealthStub(server.channel)
        watch: Any = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        drain = asyncio.create_task(server.drain(delay=0.0, grace=600.0))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await drain


async def test_a_health_watch_that_names_no_service_is_told_so(
    slow_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(slow_models) as server, asyncio.timeout(PATIENCE):
        call: Any = server.channel.stream_stream("/grpc.health.v1.Health/Watch")()
        await call.done_writing()
        assert await call.code() is StatusCode.INVALID_ARGUMENT
    assert "a handler failed" not in caplog.messages


async def test_a_drain_that_takes_longer_than_its_grace_says_so(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, VERY_SLOW)
    options = ("--workers", "1", "--drain-grace", "0.1", "--max-batch-rows", "1", *METRICS)
    with server_process(tmp_path, *options) as server:
        metrics = server.wait_for("serving")["metrics_address"]
        queued = 'evenface_queue_rows{function="encode",model="faces",version="1"}'
        async with grpc.aio.insecure_channel(server.address) as channel:
            call = asyncio.ensure_future(FaceServiceStub(channel).Encode(encode(images(9))))
            await until(lambda: scrape(metrics).get(queued) == 9)
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        assert server.process.wait(PATIENCE) == 1
        assert server.wait_for("stopped")["all_answered"] is False


async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny())
    with server_process(tmp_path, "--drain-delay", "3600") as server:
        server.wait_for("serving")
        server.process.send_signal(signal.SIGINT)
        server.wait_for("draining")
        assert server.stop(signal.SIGINT) == 1


CLIENT = """
import sys
import grpc, numpy as np
from evenface.v1 import common_pb2, face_service_pb2, face_service_pb2_grpc

raw = common_pb2.RawImages(data=bytes(8 * 16 * 16 * 3), height=16, width=16, channels=3)
request = face_service_pb2.EncodeRequest(images=common_pb2.Images(raw=raw))
stub = face_service_pb2_grpc.FaceServiceStub(grpc.insecure_channel(sys.argv[1]))

def forever():
    while True:
        yield face_service_pb2.EncodeStreamRequest(request=request)

for reply in stub.EncodeStream(forever()):
    print("answered", flush=True)
"""


async def test_a_client_killed_in_mid_stream_hurts_no_other(slow_models: Path) -> None:
    picture = images(2)
    async with running(slow_models) as server:
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, server.address, stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        assert await client.stdout.readline() == b"answered\n"
        other = asyncio.gather(*(server.face.Encode(encode(picture)) for _ in range(20)))
        client.kill()
        await client.communicate()
        for reply in await other:
            assert abs(array(reply.mean) - expected_mean(picture)).max() < 1e-5
        await admitted(server.app, 0)
