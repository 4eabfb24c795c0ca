"""What docs/clients.md shows, run as it stands; its TypeScript is run by test_node_client.py."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from evenface.v1 import model_service_pb2, model_service_pb2_grpc
from support.commands import succeed
from support.markdown import code_blocks
from support.servers import server_process

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
DEFAULT = "127.0.0.1:50051"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server_process(ROOT / "models", "--reflection", "--workers", "1") as server:
        yield server.address


def shell(code: str, folder: Path) -> None:
    succeed(["bash", "-euo", "pipefail", "-c", code], folder=folder, seconds=120)


def test_the_python_code_runs(address: str) -> None:
    names: dict[str, Any] = {}
    for code in code_blocks(PAGE, "python"):
        assert DEFAULT in code
        exec(code.replace(DEFAULT, address), names)  # noqa: S102 - our own page
    assert names["faces"].shape == (8, 64, 64, 3)


def test_stubs_are_made_for_a_place_of_one_s_own_and_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (code,) = code_blocks(PAGE, "sh")
    shell(code, tmp_path)
    made = sorted(path.name for path in (tmp_path / "generated" / "evenface" / "v1").iterdir())
    assert len(made) == 6
    for package in ("evenface", "evenface/v1"):  # else the installed ones would come first
        (tmp_path / "generated" / package / "__init__.py").touch()
    ask = "import evenface.v1.face_service_pb2_grpc as found; print(found.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "generated")}
    said = subprocess.run(
        [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(str(tmp_path))


def test_the_service_config_is_one_that_grpc_takes(address: str) -> None:
    (config,) = code_blocks(PAGE, "json")
    with grpc.insecure_channel(address, [("grpc.service_config", config)]) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert len(stub.ListModels(model_service_pb2.ListModelsRequest()).models) == 1


@pytest.mark.skipif(shutil.which("grpcurl") is None, reason="grpcurl is not on the PATH")
def test_the_grpcurl_commands_run(address: str, tmp_path: Path) -> None:
    for code in code_blocks(PAGE, "sh grpcurl"):
        assert DEFAULT in code
        shell(code.replace(DEFAULT, address), tmp_path)
    assert (tmp_path / "face.png").read_bytes().startswith(b"\x89PNG")
