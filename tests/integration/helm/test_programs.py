"""What the chart's pods run besides the server, as rendered, on real servers, stores and images."""

import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from evenface_core.bundle import open_bundle
from evenface_server.access.tokens import digest_of
from evenface_training.config import load_config
from evenface_training.run_folder import RunFolder
from PIL import Image
from support.bundles import images, write_tiny_bundle
from support.certificates import make_certificates
from support.charts import ROOT, containers, render, rendered, values_of
from support.servers import server_process

TOKEN = "of-tests"  # noqa: S105
KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "se+cr/et"}


def container(objects: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - objects of the chart
    return next(found for found in containers(objects) if found["name"] == name)


def run(
    wanted: Mapping[str, Any], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a container's command here, with its variables but for those that are given."""
    command = [*wanted["command"], *wanted["args"]]
    if command[0] == "python":
        command[0] = sys.executable
    own = {one["name"]: one["value"] for one in wanted["env"] if "value" in one}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        env={**own, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_helm_test_asks_for_health_and_encodes(tiny_models: Path) -> None:
    with server_process(tiny_models) as server:
        call = container(rendered("default"), "call")
        done = run(call, {"EVENFACE_SERVER": server.address})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "health: SERVING\nencode: 4 latents by faces/1\n"


def test_helm_test_shows_certificate_and_token(tiny_models: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path, "localhost")
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"tokens: [{{name: tests, sha256: {digest_of(TOKEN).hex()}}}]")
    files = {"tls-cert": "server.pem", "tls-key": "server.key", "tls-client-ca": "ca.pem"}
    tls = [f"--{option}={tmp_path / name}" for option, name in files.items()]
    call = container(rendered("mtls"), "call")
    named = {one["name"] for one in call["env"]}
    given = {
        "TLS_CA": "ca.pem",
        "TLS_CERTIFICATE": "client.pem",
        "TLS_KEY": "client.key",
    }
    assert {*given, "EVENFACE_TOKEN"} <= named
    with server_process(tiny_models, *tls, f"--tokens-file={tokens}") as server:
        port = server.address.rpartition(":")[2]
        environment = {
            "EVENFACE_SERVER": f"localhost:{port}",
            "EVENFACE_TOKEN": TOKEN,
            **{name: str(tmp_path / file) for name, file in given.items()},
        }
        done = run(call, environment)
        stranger = run(call, environment | {"EVENFACE_TOKEN": "another"})
    assert done.returncode == 0, done.stderr
    assert "encode: 4 latents" in done.stdout
    assert stranger.returncode == 1


class _Store(BaseHTTPRequestHandler):
    """Answers with one archive, and remembers how it was asked."""

    archive = b""
    asked: list[dict[str, str]] = []  # noqa: RUF012 - set anew for each server

    def do_GET(self) -> None:
        self.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.archive)))
        self.end_headers()
        self.wfile.write(self.archive)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def store(archive: bytes) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve an archive over HTTP; its URL, and the headers of requests."""
    asked: list[dict[str, str]] = []
    handler = type("Handler", (_Store,), {"archive": archive, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/models/faces-1.tar.gz", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    write_tiny_bundle(tmp_path / "own")
    path = tmp_path / "faces-1.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(tmp_path / "own" / "faces" / "1", "faces/1")
    return path.read_bytes()


def download(case: str, url: str, digest: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the init container of a values file for one archive."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine, which the init container's image has")
    values = values_of(case)
    values["model"]["download"]["bundles"] = [{"url": url, "sha256": digest}]
    for name in ("models", "scratch"):
        (folder / name).mkdir()
    environment = {"MODELS": str(folder / "models"), "SCRATCH": str(folder / "scratch"), **KEYS}
    return run(container(render(values), "download"), environment)


def test_bundles_are_fetched_checked_and_unpacked(archive: bytes, tmp_path: Path) -> None:
    digest = hashlib.sha256(archive).hexdigest()
    with store(archive) as (url, asked):
        done = download("download", url, digest, tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_bundle(tmp_path / "models" / "faces" / "1").manifest.name == "faces"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert "authorization" not in asked[0]


def test_a_bundle_with_another_digest_is_not_unpacked(archive: bytes, tmp_path: Path) -> None:
    found = hashlib.sha256(archive).hexdigest()
    with store(archive) as (url, _):
        done = download("download", url, "0" * 64, tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {url} has SHA-256 {found}, not {'0' * 64}\n"
    assert list((tmp_path / "models").iterdir()) == []


def test_requests_to_s3_are_signed(archive: bytes, tmp_path: Path) -> None:
    digest = hashlib.sha256(archive).hexdigest()
    with store(archive) as (url, asked):
        done = download("download-s3", url, digest, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "faces" / "1" / "manifest.json").exists()
    _check_signature(asked[0], "/models/faces-1.tar.gz")


def _check_signature(headers: Mapping[str, str], path: str) -> None:
    """Compute AWS Signature 4 anew (docs.aws.amazon.com, "Create a signed AWS API request")."""
    kind, _, rest = headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    key, date, *scope = parts["Credential"].split("/")
    assert (kind, key, scope) == ("AWS4-HMAC-SHA256", "access", ["us-east-1", "s3", "aws4_request"])
    signed = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
    lines = [f"{name}:{headers[name].strip()}" for name in signed]
    payload = headers["x-amz-content-sha256"]
    request = "\n".join(["GET", path, "", *lines, "", ";".join(signed), payload])
    text = "\n".join(
        [
            kind,
            headers["x-amz-date"],
            "/".join([date, *scope]),
            hashlib.sha256(request.encode()).hexdigest(),
        ]
    )
    secret = f"AWS4{KEYS['AWS_SECRET_ACCESS_KEY']}".encode()
    for step in (date, *scope):
        secret = hmac.digest(secret, step.encode(), "sha256")
    assert parts["Signature"] == hmac.new(secret, text.encode(), "sha256").hexdigest()


def test_a_batch_job_with_bad_images_is_done_and_one_with_bad_arguments_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, pixels in enumerate(images(3, size=64)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    job = container(rendered("batch-job"), "batch")
    assert [one for one in job["args"] if one.startswith("--")] == [
        "--out",
        "--model",
        "--resume",
        "--workers",
    ]
    arguments = ["all", str(folder), "--out", str(tmp_path / "scores")]
    model = ["--model", str(ROOT / "models" / "faces" / "1"), "--workers", "1", "--resume"]
    done = run(job | {"args": [*arguments, *model]}, {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "4 rows" in done.stderr
    assert "1 of them with an error" in done.stderr
    wrong = run(job | {"args": [*arguments, "--model", "nowhere"]}, {"TMPDIR": str(tmp_path)})
    assert wrong.returncode == 2


@pytest.mark.parametrize(
    ("case", "launcher"),
    [
        ("training", []),
        ("training-gpus", ["torchrun", "--nproc-per-node", "4", "--no-python", "--"]),
    ],
)
def test_a_training_job_starts_a_run_and_goes_on_with_one(
    case: str, launcher: list[str], tmp_path: Path
) -> None:
    job = container(rendered(case), "training")
    for name in ("evenface-train", "torchrun"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$(basename "$0")"\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    run_folder = tmp_path / "mine"
    environment = {"RUN": str(run_folder), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    begun = run(job, environment).stdout.split()
    trained = [*launcher, "evenface-train"]
    assert begun[: len(trained)] == trained
    name, option, *settings = begun[len(trained) : -2]
    assert (option, begun[-2:]) == ("--set", ["--run", str(run_folder)])
    config = load_config(name, settings)
    assert config.data.faces == Path("/data/faces")
    (run_folder / "checkpoints").mkdir(parents=True)
    RunFolder(run_folder).last.touch()
    resumed = run(job, environment).stdout.split()
    assert resumed == [*trained, "--resume", str(run_folder)]
