"""The admin service over the wire, and its command."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface.v1 import admin_service_pb2 as pb
from evenface.v1.admin_service_pb2_grpc import AdminServiceStub
from evenface_server.access.tokens import digest_of
from grpc import StatusCode
from support.bundles import Tiny, write_tiny_bundle
from support.messages import details
from support.operators import Operator, operated
from support.patience import PATIENCE
from support.servers import run_server, server_process

TOKEN = "evenface_of_an_operator"  # noqa: S105 - of tests alone


def write(root: Path, *versions: str) -> None:
    for version in versions:
        write_tiny_bundle(root, Tiny(version=version))


async def test_the_status_names_models_states_default_and_workers(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")
    write_tiny_bundle(tmp_path, Tiny(version="3", broken="run"))
    async with operated(tmp_path) as operator:
        await operator.unload("2")
        status = await operator.status()
    assert (status.default_model, status.workers, status.plan) == ("faces", 2, 2)
    one, two, three = status.models
    assert (one.model, one.version, one.state) == ("faces", "1", pb.MODEL_STATE_SERVING)
    assert len(one.digest) == 64
    assert (two.version, two.state, two.digest) == ("2", pb.MODEL_STATE_UNLOADED, "")
    assert (three.version, three.state) == ("3", pb.MODEL_STATE_REFUSED)
    assert (
        three.reason
        == f"{tmp_path}/faces/3: encode.onnx: fails on 3 rows: "
        + (three.reason.partition("rows: ")[2])
    )


async def test_a_reload_tries_again_what_was_refused(tmp_path: Path) -> None:
    write(tmp_path, "1")
    async with operated(tmp_path, "--watch-interval", "0") as operator:
        write(tmp_path, "2")
        reply = await operator.admin.ReloadModels(pb.ReloadModelsRequest())
        assert [(one.version, one.state) for one in reply.models] == [
            ("1", pb.MODEL_STATE_SERVING),
            ("2", pb.MODEL_STATE_SERVING),
        ]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good versions and a bad one."""
    root = tmp_path_factory.mktemp("models")
    write(root, "1", "2")
    write_tiny_bundle(root, Tiny(version="3", broken="bytes"))
    return root


WRONG = [
    (
        pb.LoadModelRequest(model="faces", version="9"),
        (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "no folder faces/9; there are: faces/1, faces/2"),
    ),
    (
        pb.LoadModelRequest(model="faces", version="3"),
        (StatusCode.FAILED_PRECONDITION, "ORDER_REFUSED", "faces/3: encode.onnx: not an ONNX"),
    ),
    (
        pb.LoadModelRequest(model="..", version="1"),
        (StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "model: '..' does not match"),
    ),
    (
        pb.LoadModelRequest(model="faces", version="1/../2"),
        (StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "version: '1/../2' does not match"),
    ),
    (
        pb.UnloadModelRequest(model="faces", version="9"),
        (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "no version '9' that is served"),
    ),
    (
        pb.UnloadModelRequest(model="other", version="1"),
        (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "no model 'other' is served"),
    ),
    (
        pb.SetTrafficRequest(model="faces", weights={"1": 1, "9": 1}),
        (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "no version '9' that is served"),
    ),
    (
        pb.SetTrafficRequest(model="faces", weights={"1": 0}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "weights: all are 0"),
    ),
    (
        pb.SetTrafficRequest(model="faces", weights={"1": 2**32 - 1}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "weights.1: 4294967295; limit 1000000"),
    ),
]


async def test_every_order_that_cannot_be_carried_out_is_a_status_with_its_reason(
    models: Path,
) -> None:
    async with operated(models) as operator:
        for request, expected in WRONG:
            assert await refusal(operator, request) == expected
        await operator.unload("1")
        last = pb.UnloadModelRequest(model="faces", version="2")
        code, reason, message = await refusal(operator, last)
        assert (code, reason) == (StatusCode.FAILED_PRECONDITION, "ORDER_REFUSED")
        assert "last version of the default model" in message


async def refusal(operator: Operator, request: Any) -> Any:  # noqa: ANN401 - any of the messages
    """Code, reason and the part of the message that is expected of a refused order."""
    rpc = getattr(operator.admin, type(request).__name__.removesuffix("Request"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpc(request)
    found = details(caught.value)
    assert found.info.domain == "evenface"
    assert len(found.bad_requests) == (found.info.reason == "INVALID_INPUT")
    said = next((w[1][2] for w in WRONG if w[0] == request and w[1][2] in found.message), None)
    return caught.value.code(), found.info.reason, said or found.message


async def test_an_order_is_carried_through_though_its_deadline_passes(tmp_path: Path) -> None:
    write(tmp_path, "1")
    async with operated(tmp_path, "--watch-interval", "0") as operator:
        write(tmp_path, "2")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await operator.admin.LoadModel(
                pb.LoadModelRequest(model="faces", version="2"), timeout=0.001
            )
        assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
        await operator.load("2")
        assert (await operator.states()) == {"faces/1": "SERVING", "faces/2": "SERVING"}


async def test_where_tokens_are_asked_for_the_admin_service_asks_too(tmp_path: Path) -> None:
    write(tmp_path / "models", "1")
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(
        f'tokens:\n  - name: "ops"\n    sha256: "{digest_of(TOKEN).hex()}"\n'
        '    rpcs: ["AdminService/GetStatus"]\n'
    )
    async with operated(tmp_path / "models", "--tokens-file", str(tokens)) as operator:
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await operator.status()
        assert details(unknown.value).info.reason == "UNAUTHENTICATED"
        shown = (("authorization", f"Bearer {TOKEN}"),)
        await operator.admin.GetStatus(pb.GetStatusRequest(), metadata=shown)
        with pytest.raises(grpc.aio.AioRpcError) as forbidden:
            await operator.admin.ReloadModels(pb.ReloadModelsRequest(), metadata=shown)
        assert details(forbidden.value).info.reason == "PERMISSION_DENIED"


async def test_the_admin_service_is_off_unless_asked_for_and_never_on_the_main_port(
    tiny_models: Path,
) -> None:
    with server_process(tiny_models) as server:
        assert server.wait_for("serving")["admin_address"] is None
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub: Any = AdminServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetStatus(pb.GetStatusRequest())
        assert caught.value.code() is StatusCode.UNIMPLEMENTED


def test_an_admin_port_that_is_taken_is_one_line(tiny_models: Path) -> None:
    with server_process(tiny_models, "--admin-port", "0") as server:
        port = str(server.wait_for("serving")["admin_address"]).rpartition(":")[2]
        done = run_server("--models", str(tiny_models), "--port", "0", "--admin-port", port)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --admin-port: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def command(
    address: str, *order: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evenface_server.admin", "--address", address, *order],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize("address", ["192.0.2.1:50052", "[2001:db8::1]:50052", "ops.internal:1"])
def test_the_command_sends_no_token_to_other_machines_in_plain_text(address: str) -> None:
    done = command(address, "status", environment={"EVENFACE_TOKEN": TOKEN})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"EVENFACE_TOKEN would travel to {address} in plain text" in done.stderr
    assert TOKEN not in done.stderr


def test_the_command_goes_through_no_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        through = {"http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}", "no_proxy": ""}
        done = command(address, "status", environment={**through, "EVENFACE_TOKEN": TOKEN})
        assert (done.returncode, done.stderr[:18]) == (1, "error: UNAVAILABLE")
        proxy.settimeout(0)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_the_command_gives_orders_and_says_what_came_of_them(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")
    options = ("--admin-port", "0", "--watch-interval", "0", "--workers", "1")
    with server_process(tmp_path, *options) as server:
        address = str(server.wait_for("serving")["admin_address"])

        def said(*order: str) -> list[str]:
            done = command(address, *order)
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout.splitlines()

        assert said("traffic", "faces", "1=90", "2=10") == ["requests for faces go to 1: 90, 2: 10"]
        head, one, two, traffic = said("status")
        assert head == "plan 2, 1 workers, default faces"
        assert one.startswith("faces/1  SERVING  ")
        assert two.startswith("faces/2  SERVING  ")
        assert traffic == "traffic of faces: 1: 90, 2: 10"
        assert said("traffic", "faces") == ["requests for faces go to the newest"]
        assert said("unload", "faces/2") == ["faces/2 is unloaded"]
        assert said("reload")[1] == "faces/2  UNLOADED  an operator has unloaded it"
        assert said("load", "faces/2") == ["faces/2 serves"]

        refused = command(address, "unload", "faces/7")
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: NOT_FOUND: model 'faces' has no version '7'")
        mistaken = command(address, "traffic", "faces", "1:3")
        assert mistaken.returncode == 2
        assert mistaken.stderr == "error: '1:3' is not VERSION=WEIGHT with a whole number\n"


async def test_orders_at_the_same_time_are_all_carried_out(tmp_path: Path) -> None:
    write(tmp_path, "1", "2", "3", "4")
    async with operated(tmp_path) as operator:
        await asyncio.gather(
            operator.unload("2"), operator.load("3"), operator.split(v1=1), operator.unload("4")
        )
        assert await operator.states() == {
            "faces/1": "SERVING",
            "faces/2": "UNLOADED",
            "faces/3": "SERVING",
            "faces/4": "UNLOADED",
        }
        assert len((await operator.status()).traffic) == 1
