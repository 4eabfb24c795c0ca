"""What operators see: health, reflection, metrics, logs, TLS."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface.v1.face_service_pb2 import ResampleWeightsRequest
from evenface.v1.face_service_pb2_grpc import FaceServiceStub
from evenface_core.errors import ConfigError
from evenface_server.lines import Lines
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.bundles import images
from support.messages import encode, raw
from support.servers import Running, running, until


@pytest.mark.parametrize("service", ["", "evenface.v1.FaceService", "evenface.v1.ModelService"])
async def test_health_is_reported_by_service(server: Running, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_health_of_an_unknown_service_is_not_found(server: Running) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() is StatusCode.NOT_FOUND


async def _reflected(server: Running) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    replies: Any = stub.ServerReflectionInfo(iter([request]))
    found = [reply async for reply in replies]
    return {service.name for service in found[0].list_services_response.service}


async def test_reflection_is_served_when_switched_on_alone(tiny_models: Path) -> None:
    async with running(tiny_models, reflection=True) as server:
        names = await _reflected(server)
    assert {"evenface.v1.FaceService", "evenface.v1.ModelService", "grpc.health.v1.Health"} < names
    async with running(tiny_models) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _reflected(server)
    assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_metrics_have_the_standard_and_our_own_names(tiny_models: Path) -> None:
    rpc = 'grpc_method="Encode",grpc_service="evenface.v1.FaceService",grpc_type="unary"'
    async with running(tiny_models) as server:
        await server.face.Encode(encode(images(3)))
        with pytest.raises(grpc.aio.AioRpcError):
            await server.face.Encode(encode(images(1), model="x"))
        refused = f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{rpc}}}'
        await until(lambda: refused in server.samples())  # the caller knows before it is counted
        samples = server.samples()
    lane = 'function="encode",model="faces",version="1"'
    assert samples[f"grpc_server_started_total{{{rpc}}}"] == 2
    assert samples[f"grpc_server_msg_received_total{{{rpc}}}"] == 2
    assert samples[f"grpc_server_msg_sent_total{{{rpc}}}"] == 1
    assert samples[f'grpc_server_handled_total{{grpc_code="OK",{rpc}}}'] == 1
    assert samples[f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{rpc}}}'] == 1
    assert samples[f"grpc_server_handling_seconds_count{{{rpc}}}"] == 2
    assert not any("_created" in name for name in samples)
    assert samples[f"evenface_images_total{{{lane}}}"] == 3
    assert samples[f"evenface_queue_rows{{{lane}}}"] == 0
    assert samples[f"evenface_queue_wait_seconds_count{{{lane}}}"] == 1
    assert samples[f"evenface_batch_rows_sum{{{lane}}}"] == 3
    assert samples[f"evenface_inference_seconds_count{{{lane}}}"] == 1
    assert samples['evenface_rejections_total{reason="MODEL_NOT_FOUND"}'] == 1
    assert (
        samples[
            'evenface_model_info{device="cpu",is_default="true",kind="dbvae",'
            'model="faces",version="1"}'
        ]
        == 1
    )


async def test_what_calls_may_be_refused_for_is_counted_from_0(server: Running) -> None:
    counted = {
        name: count
        for name, count in server.samples().items()
        if name.startswith("evenface_rejections_total")
    }
    assert set(counted.values()) == {0}
    assert {'evenface_rejections_total{reason="INTERNAL"}'} < counted.keys()


async def test_each_call_is_one_log_line_without_image_content(
    tiny_models: Path, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as file:
        lines = Lines(file.fileno(), str)
        async with running(tiny_models, log=lines) as server:
            await server.face.Encode(encode(images(3)), metadata=(("x-request-id", 'a"1'),))
        lines.flush()
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (line["method"], line["code"], line["rows"]) == ("Encode", "OK", 3)
    assert (line["model"], line["request_id"]) == ("faces/1", 'a"1')
    assert line["seconds"] > 0


async def test_a_request_id_is_echoed_or_made_up(server: Running) -> None:
    async def echoed(*sent: tuple[str, str]) -> str:
        call = server.face.Encode(encode(images(1)), metadata=sent)
        await call
        metadata: Any = await call.trailing_metadata()
        return str(dict(metadata)["x-request-id"])

    assert await echoed(("x-request-id", "abc-1")) == "abc-1"
    made_up = await echoed()
    assert len(made_up) == 32
    assert await echoed() != made_up
    assert len(await echoed(("x-request-id", "x" * 1000))) == 32


async def test_a_request_id_is_echoed_with_an_error(server: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.face.Encode(
            encode(images(1), model="x"), metadata=(("x-request-id", "abc-2"),)
        )
    metadata: Any = caught.value.trailing_metadata()
    assert dict(metadata)["x-request-id"] == "abc-2"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca), and certificates of a server and a client that it signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key: Sequence[str] = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(
            "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-extfile", "names"),
        )
    return folder


def _channel(address: str, folder: Path, client: str | None) -> grpc.aio.Channel:
    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    credentials = grpc.ssl_channel_credentials(
        read("ca.pem"),
        *((read(f"{client}.key"), read(f"{client}.pem")) if client else ()),
    )
    return grpc.aio.secure_channel(address, credentials)


async def test_tls_encrypts_and_refuses_plain_text(tiny_models: Path, certificates: Path) -> None:
    tls = {"tls_cert": certificates / "server.pem", "tls_key": certificates / "server.key"}
    async with running(tiny_models, **tls) as server:
        async with _channel(server.address, certificates, None) as channel:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.Encode(encode(images(1)))
    assert caught.value.code() is StatusCode.UNAVAILABLE


async def test_mtls_asks_for_a_certificate_of_the_authority(
    tiny_models: Path, certificates: Path
) -> None:
    tls = {
        "tls_cert": certificates / "server.pem",
        "tls_key": certificates / "server.key",
        "tls_client_ca": certificates / "ca.pem",
    }
    async with running(tiny_models, **tls) as server:
        async with _channel(server.address, certificates, "client") as channel:
            await FaceServiceStub(channel).Encode(encode(images(1)))
        async with _channel(server.address, certificates, None) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await FaceServiceStub(channel).Encode(encode(images(1)))
    assert caught.value.code() is StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("cert", "key", "authority", "message"),
    [
        ("missing.pem", "server.key", None, "--tls-cert: .*missing.pem: No such file"),
        ("server.pem", "client.key", None, "no certificate and its unencrypted key"),
        ("names", "server.key", None, "no certificate and its unencrypted key"),
        ("server.pem", "server.key", "names", "--tls-client-ca: .* holds no certificate"),
    ],
)
async def test_an_unusable_certificate_is_an_error_that_names_it(
    tiny_models: Path,
    certificates: Path,
    cert: str,
    key: str,
    authority: str | None,
    message: str,
) -> None:
    tls = {
        "tls_cert": certificates / cert,
        "tls_key": certificates / key,
        "tls_client_ca": certificates / authority if authority else None,
    }
    with pytest.raises(ConfigError, match=message):
        async with running(tiny_models, **tls):
            pass


@pytest.mark.parametrize("option", [{"rule": "lob"}, {"smoothing": -1.0}, {"bins": 1}])
async def test_weights_that_cannot_be_computed_are_refused_before_images_are_encoded(
    tiny_models: Path, option: dict[str, Any]
) -> None:
    async with running(tiny_models) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.ResampleWeights(
                ResampleWeightsRequest(images=raw(images(3)), **option)
            )
        samples = server.samples()
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert samples['evenface_images_total{function="encode",model="faces",version="1"}'] == 0
