"""Health on a port of its own: what a kubelet's probes ask, whatever the service is busy with."""

import asyncio
import os
import signal
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_server.probes import ProbeServer
from evenface_server.settings import Settings
from evenface_server.supervisor.supervisor import SideServer, Supervisor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.bundles import Tiny, images, write_tiny_bundle
from support.certificates import make_certificates
from support.messages import encode
from support.patience import PATIENCE
from support.servers import run_server, server_process

PORT = ("--health-port", "0")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health(address: str, service: str) -> int:
    """The status that one connection of its own is told, as a probe's is."""
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        stub = health_pb2_grpc.HealthStub(channel)
        reply = stub.Check(request, timeout=PATIENCE, wait_for_ready=True)
    return int(reply.status)


def test_probes_need_neither_certificate_nor_token_where_calls_need_both(
    tiny_models: Path, tmp_path: Path
) -> None:
    make_certificates(tmp_path, "localhost")
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"tokens: [{{name: jobs, sha256: {'a' * 64}}}]")
    files = {"tls-cert": "server.pem", "tls-key": "server.key", "tls-client-ca": "ca.pem"}
    tls = [f"--{option}={tmp_path / name}" for option, name in files.items()]
    with server_process(tiny_models, *PORT, *tls, f"--tokens-file={tokens}") as server:
        address = str(server.wait_for("serving")["health_address"])
        assert [health(address, name) for name in ("", "readiness", "liveness")] == [SERVING] * 3
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
            FaceServiceStub(channel).Encode(encode(images(1)), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.RpcError, match="no service 'x'; there are readiness, liveness"):
            health(address, "x")


async def test_while_models_open_the_server_is_alive_and_not_ready(
    tiny_models: Path, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {"models": tiny_models, "port": 0, "metrics": False, "workers": 1, "health_port": 0}
    )
    made: list[SideServer] = []

    def make_probes(*arguments: object) -> SideServer:
        made.append(partial(ProbeServer, settings)(*arguments))  # type: ignore[arg-type]
        return made[0]

    module = "support.silent_worker"
    supervisor = Supervisor(settings, tmp_path, make_probes=make_probes, module=module)
    serving = asyncio.create_task(supervisor.listen())
    try:
        statuses = [
            await asyncio.to_thread(health, made[0].address, name)
            for name in ("liveness", "readiness", "")
        ]
        assert statuses == [SERVING, NOT_SERVING, NOT_SERVING]
    finally:
        serving.cancel()
        await supervisor.stop()


def test_without_workers_the_server_is_not_ready_until_one_has_replaced_them(
    tiny_models: Path,
) -> None:
    with server_process(tiny_models, *PORT, "--workers", "1") as server:
        address = str(server.wait_for("serving")["health_address"])
        os.kill(server.workers[0], signal.SIGKILL)
        server.wait_until(lambda: health(address, "readiness") == NOT_SERVING)
        assert health(address, "liveness") == SERVING
        server.wait_until(lambda: health(address, "readiness") == SERVING)


async def test_a_server_that_drains_is_alive_and_not_ready(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=1.0))
    with server_process(tmp_path, *PORT, "--workers", "1", "--drain-delay", "1") as server:
        address = str(server.wait_for("serving")["health_address"])
        async with grpc.aio.insecure_channel(server.address) as channel:
            answer = FaceServiceStub(channel).Encode(encode(images(1)), timeout=PATIENCE)
            await answer.wait_for_connection()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(
                server.wait_until, lambda: health(address, "readiness") == NOT_SERVING
            )
            assert await asyncio.to_thread(health, address, "liveness") == SERVING
            await answer
        assert await asyncio.to_thread(server.process.wait, PATIENCE) == 0


async def test_connections_that_ask_nothing_keep_probes_out_for_a_moment_only() -> None:
    server = ProbeServer(
        Settings.model_validate({"models": Path(), "health_port": 0}), lambda: True
    )
    server.open()
    host, _, port = server.address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(100):  # as many as there may be
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
        assert await asyncio.to_thread(health, server.address, "liveness") == SERVING
    await server.close()


def test_a_port_for_probes_in_use_is_one_line(tiny_models: Path) -> None:
    with server_process(tiny_models, *PORT) as server:
        _, _, port = str(server.wait_for("serving")["health_address"]).rpartition(":")
        done = run_server(
            *("--models", str(tiny_models), "--port", "0", "--no-metrics", "--health-port", port)
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --health-port: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )
