"""The command `evenface-server`: start-up, and every mistake in one line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.bundles import write_tiny_bundle
from support.patience import PATIENCE
from support.servers import run_server, server_process

FREE = ("--port", "0", "--no-metrics")


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
        (["--models", "/nowhere", *FREE], {}, "models: /nowhere: No such file or directory"),
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
    done = run_server("--models", str(tmp_path), *FREE)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no usable bundle" in done.stderr


def test_a_corrupt_bundle_is_named_in_the_log(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path)
    (bundle / "manifest.json").write_text("{")
    done = run_server("--models", str(tmp_path), *FREE)
    assert "manifest.json: not JSON" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2


def test_an_encrypted_key_is_refused_and_no_password_asked_for(
    tiny_models: Path, tmp_path: Path
) -> None:
    made = ("-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x", "-passout", "pass:word")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", *made],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    options = ["--tls-cert", f"{tmp_path}/cert.pem", "--tls-key", f"{tmp_path}/key.pem"]
    done = subprocess.run(
        [sys.executable, "-m", "evenface_server", "--models", str(tiny_models), *FREE, *options],
        check=False,
        input="word\n",  # where OpenSSL finds no terminal, it reads a password from here
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --tls-cert, --tls-key: ")
    assert done.stderr.count("\n") == 1


def test_a_warning_is_a_line_of_the_log() -> None:
    code = (
        "import warnings; from evenface_server.logs import configure_logging;"
        "configure_logging('info'); warnings.warn('an odd\\nimage')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "an odd\nimage" in json.loads(done.stdout)["event"]
    assert done.stderr == ""


def test_help_lists_every_setting() -> None:
    done = run_server("--help")
    assert done.returncode == 0
    assert "--max-batch-rows" in done.stdout
    assert "EVENFACE_MAX_BATCH_ROWS" in done.stdout
