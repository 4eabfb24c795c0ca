"""The command `evenface-server`: start-up, and every mistake in one line."""

import socket
from pathlib import Path

import pytest
from support.bundles import write_tiny_bundle
from support.servers import run_server, server_process


def test_the_start_is_announced_with_device_models_address_and_time(tiny_models: Path) -> None:
    with server_process(tiny_models, "--device", "cpu") as server:
        line = server.wait_for("serving")
        assert line["device"] == "cpu"
        assert line["models"] == ["faces/1"]
        assert line["address"].startswith("127.0.0.1:")
        assert line["seconds"] >= 0
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--prot", "1"], {}, "unknown option '--prot' (did you mean '--port'?)"),
        (["--port", "99999"], {}, "--port is '99999': "),
        ([], {"EVENFACE_PORT": "x"}, "EVENFACE_PORT is 'x': "),
        ([], {"EVENFACE_PROT": "1"}, "EVENFACE_PROT (did you mean EVENFACE_PORT?)"),
        (["--models", "/nowhere"], {}, "models: /nowhere: No such file or directory"),
        (["--device", "tpu"], {}, "--device is 'tpu': "),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    options: list[str], environment: dict[str, str], message: str
) -> None:
    done = run_server(*options, environment=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(tiny_models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        common = ("--models", str(tiny_models))
        grpc_port = run_server(*common, "--port", port, "--no-metrics")
        metrics_port = run_server(*common, "--port", "0", "--metrics-port", port)
    expected = f"cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert grpc_port.stderr == f"error: --port: {expected}"
    assert metrics_port.stderr == f"error: --metrics-port: {expected}"
    assert grpc_port.returncode == metrics_port.returncode == 2


def test_an_empty_model_directory_is_one_line(tmp_path: Path) -> None:
    done = run_server("--models", str(tmp_path), "--port", "0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no usable bundle" in done.stderr


def test_a_corrupt_bundle_is_named_in_the_log(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path)
    (bundle / "manifest.json").write_text("{")
    done = run_server("--models", str(tmp_path), "--port", "0")
    assert "manifest.json: not JSON" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2


def test_help_lists_every_setting() -> None:
    done = run_server("--help")
    assert done.returncode == 0
    assert "--max-batch-rows" in done.stdout
    assert "EVENFACE_MAX_BATCH_ROWS" in done.stdout
