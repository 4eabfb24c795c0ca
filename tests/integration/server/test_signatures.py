"""Servers that load signed bundles alone: at start, by the directory, by an operator's order."""

import shutil
from pathlib import Path

import grpc
import pytest
from evenface.v1 import admin_service_pb2 as pb
from evenface_client import Client
from support.bundles import Tiny, write_tiny_bundle
from support.operators import operated
from support.servers import run_server, server_process
from support.signing import Authority, Signer


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Whom the servers trust."""
    return Signer(tmp_path)


@pytest.fixture
def models(tmp_path: Path, signer: Signer) -> Path:
    """faces/1, signed."""
    signer.sign(write_tiny_bundle(tmp_path / "models", Tiny()))
    return tmp_path / "models"


def test_signed_bundles_serve_and_others_are_refused_with_the_reason(
    models: Path, tmp_path: Path, signer: Signer
) -> None:
    write_tiny_bundle(models, Tiny(version="2"))
    Signer(tmp_path, "stranger").sign(write_tiny_bundle(models, Tiny(version="3")))
    options = ("--require-signature", str(signer.public), "--workers", "1")
    with server_process(models, *options) as server, Client(server.address) as client:
        assert [model.version for model in client.models()] == ["1"]
        refused = [line for line in server.lines if line["event"] == "bundle refused"]
    assert [line["bundle"].rpartition("/")[2] for line in refused] == ["2", "3"]
    assert "it is not signed (model.sig is missing)" in refused[0]["reason"]
    assert "Key mismatch" in refused[1]["reason"]


def test_what_comes_later_goes_through_the_same_check_and_the_good_one_keeps_serving(
    models: Path, signer: Signer
) -> None:
    options = ("--require-signature", str(signer.public), "--watch-interval", "0.05")
    with server_process(models, *options, "--workers", "1") as server:
        with Client(server.address) as client:
            write_tiny_bundle(models, Tiny(shift=1.0))  # a forged faces/1
            server.wait_for("bundle refused")
            assert [model.version for model in client.models()] == ["1"]
            older = write_tiny_bundle(models.parent / "kept", Tiny(version="0"))
            signer.sign(older)
            shutil.copytree(older, models / "faces" / "2")  # signed, but in a newer one's place
            server.wait_for_count("bundle refused", 2)
            assert [model.version for model in client.models()] == ["1"]
            signer.sign(write_tiny_bundle(models.parent / "new", Tiny(version="3")))
            shutil.copytree(models.parent / "new" / "faces" / "3", models / "faces" / "3")
            server.wait_for("models changed")
            server.wait_until(lambda: [m.version for m in client.models()] == ["1", "3"])
        refused = [line["reason"] for line in server.lines if line["event"] == "bundle refused"]
    assert "model.sig" in refused[0]
    assert "its manifest says model 'faces' version '0'" in refused[1]


def test_a_signers_certificate_that_has_ended_keeps_no_bundle_out_and_is_warned_of(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path, ended=3)
    authority.sign(write_tiny_bundle(tmp_path / "models", Tiny()))
    options = ("--require-signature", str(authority.certificate), "--workers", "1")
    with server_process(tmp_path / "models", *options) as server:
        assert server.wait_for("serving")["models"] == ["faces/1"]
        line = server.wait_for("signer's certificate has ended")
    assert (line["level"], line["model"]) == ("warning", "faces/1")
    assert line["signer"] == "CN=model builder"


async def test_an_operators_order_is_no_way_around_signatures(models: Path, signer: Signer) -> None:
    options = ("--require-signature", str(signer.public), "--watch-interval", "0")
    async with operated(models, *options) as operator:
        folder = write_tiny_bundle(models, Tiny(version="2"))
        with pytest.raises(grpc.aio.AioRpcError, match="it is not signed"):
            await operator.load("2")
        signer.sign(folder)
        await operator.load("2")
        status = await operator.status()
    assert [one.state for one in status.models] == [pb.MODEL_STATE_SERVING] * 2


def test_a_file_without_keys_ends_the_start_in_one_line(models: Path, tmp_path: Path) -> None:
    (tmp_path / "keys.pem").write_text("none")
    done = run_server("--models", str(models), "--require-signature", str(tmp_path / "keys.pem"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: require-signature: {tmp_path}/keys.pem: no PEM file")
    assert done.stderr.count("\n") == 1
