"""The TypeScript client: built, checked, and tested against real servers by Node's own runner."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from support.bundles import (
    SIZE,
    Tiny,
    expected_log_variance,
    expected_logits,
    expected_mean,
    images,
    write_tiny_bundle,
)
from support.certificates import make_authority, make_certificates
from support.collector import collecting
from support.commands import succeed
from support.image_files import png
from support.markdown import code_blocks
from support.servers import server_process

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "node"
PAGES = (ROOT / "README.md", PACKAGE / "README.md", ROOT / "docs" / "clients.md")
DEFAULT = "127.0.0.1:50051"
TOKEN = "evenface_secret"  # noqa: S105 - of tests alone


def node_problem() -> str | None:
    """Why the tests cannot run here, if they cannot."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return "the TypeScript client needs node and npm, which are not here"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        return f"the TypeScript client needs node 20 or newer; this is {version.strip()}"
    return None


PROBLEM = node_problem()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


def run(*command: str, folder: Path = PACKAGE, environment: Mapping[str, str] | None = None) -> str:
    own = {"npm_config_cache": str(ROOT / ".cache" / "npm"), **(environment or {})}
    return succeed(command, folder=folder, environment={**os.environ, **own})


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """The packages of the lock file, installed anew only when it has changed; then the build."""
    mark = PACKAGE / "node_modules" / ".evenface-lock"
    lock = sha256((PACKAGE / "package-lock.json").read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != lock:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        mark.write_text(lock)
    run("npm", "run", "--silent", "build")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tests in TypeScript find: models, certificates, tokens, images, expectations."""
    root = tmp_path_factory.mktemp("node")
    write_tiny_bundle(root / "models")
    write_tiny_bundle(root / "models", Tiny(name="judge", functions=("classify",)))
    write_tiny_bundle(root / "slow", Tiny(encode_seconds=0.4))
    make_certificates(root, "faces.test")
    make_authority(root, "other")
    digest = sha256(TOKEN.encode()).hexdigest()
    (root / "tokens.yaml").write_text(f"tokens: [{{name: tests, sha256: {digest}}}]\n")
    pixels = images(23)
    expected = {
        "size": SIZE,
        "pixels": base64.b64encode(pixels.tobytes()).decode(),
        "mean": expected_mean(pixels).tolist(),
        "logVariance": expected_log_variance(pixels).tolist(),
        "logits": expected_logits(pixels).tolist(),
    }
    (root / "expected.json").write_text(json.dumps(expected))
    for name, image in zip("abc", pixels, strict=False):
        (root / f"{name}.png").write_bytes(png(image))
    return root


@pytest.fixture(scope="module")
def addresses(folder: Path) -> Iterator[dict[str, str]]:
    """Servers with room, with small limits, slow with a short queue, and with TLS and tokens."""
    one = ("--workers", "1")
    small = ("--max-items-per-request", "12", "--max-message-bytes", "8192")
    slow = ("--max-queue-rows", "4", "--max-items-per-request", "4", "--max-batch-rows", "2")
    files = {"tls-cert": "server.pem", "tls-key": "server.key", "tls-client-ca": "ca.pem"}
    files["tokens-file"] = "tokens.yaml"
    secure = [text for name, file in files.items() for text in (f"--{name}", str(folder / file))]
    kinds = {"ROOMY": (), "SMALL": small, "SLOW": slow, "SECURE": secure}
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(
                server_process(folder / ("slow" if kind == "SLOW" else "models"), *one, *options)
            )
            for kind, options in kinds.items()
        }
        yield {f"EVENFACE_{kind}": server.address for kind, server in servers.items()}


def test_the_code_keeps_to_the_style() -> None:
    run("npm", "run", "--silent", "lint")


def test_the_client_does_what_it_promises(folder: Path, addresses: dict[str, str]) -> None:
    environment = {
        **addresses,
        "EVENFACE_PYTHON": sys.executable,
        "EVENFACE_FOLDER": str(folder),
        "EVENFACE_TOKEN": TOKEN,
    }
    said = run("npm", "test", "--silent", environment=environment)
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed, said
    assert int(passed[1]) > 40
    assert re.search(r"^# skipped 0$", said, re.MULTILINE), said


def test_a_callers_span_has_the_servers_below_it(
    folder: Path, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("npx", "--no-install", "tsc", "-p", "test")
    environment = {**addresses, "EVENFACE_FOLDER": str(folder), "EVENFACE_TOKEN": TOKEN}
    with collecting() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        options = ("--tracing", "--workers", "1")
        with server_process(folder / "models", *options) as server:
            script = str(PACKAGE / "build" / "traced.js")
            mine = json.loads(run("node", script, server.address, environment=environment))
            (untraced,) = collector.wait_for_count("evenface.v1.FaceService/ClassifyFace", 1)
            (call,) = collector.wait_for_count("evenface.v1.FaceService/Encode", 1)
            (stream,) = collector.wait_for_count("evenface.v1.FaceService/EncodeStream", 1)
    for one in (call, stream):
        assert (one.trace.hex(), one.parent.hex()) == (mine["traceId"], mine["spanId"])
    assert untraced.parent == b""


def test_a_program_without_opentelemetry_calls_all_the_same(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for package in (PACKAGE / "node_modules").iterdir():
        if package.name != "@opentelemetry":
            (modules / package.name).symlink_to(package)
    (modules / "evenface").symlink_to(PACKAGE)
    (tmp_path / "program.mjs").write_text(
        'import { Client } from "evenface";\n'
        'await import("@opentelemetry/api").catch((error) => console.log(error.code));\n'
        "const client = new Client(process.argv[2]);\n"
        "console.log((await client.sample(3)).latents.shape[0]);\n"
        "client.close();\n"
    )
    links = ("--preserve-symlinks", "--preserve-symlinks-main")
    said = run("node", *links, str(tmp_path / "program.mjs"), addresses["EVENFACE_ROOMY"])
    assert said.split() == ["ERR_MODULE_NOT_FOUND", "3"]


def test_the_generated_code_is_that_of_the_proto_files(tmp_path: Path) -> None:
    out = {"EVENFACE_PYTHON": sys.executable, "OUT": str(tmp_path)}
    run("npm", "run", "--silent", "protos", environment=out)
    committed = PACKAGE / "src" / "gen"
    names = sorted(path.relative_to(committed) for path in committed.rglob("*.ts"))
    assert names == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.ts"))
    for name in names:
        assert (tmp_path / name).read_text() == (committed / name).read_text(), (
            f"{name}: run 'npm run protos' in clients/node and commit what it changes"
        )


def test_the_package_holds_what_its_users_need() -> None:
    [packed] = json.loads(run("npm", "pack", "--dry-run", "--json", "--ignore-scripts"))
    names = {file["path"] for file in packed["files"]}
    assert {"README.md", "package.json", "dist/index.js", "dist/index.d.ts"} <= names
    others = {name for name in names if not name.startswith("dist/")}
    assert others - {"LICENSE"} == {"README.md", "package.json"}
    sources = {path.relative_to(PACKAGE / "src") for path in (PACKAGE / "src").rglob("*.ts")}
    built = {f"dist/{path.with_suffix('.js')}" for path in sources}
    assert {name for name in names if name.endswith(".js")} == built


def test_the_lock_file_names_no_host_that_packages_come_from() -> None:
    lock = json.loads((PACKAGE / "package-lock.json").read_text())
    assert len(lock["packages"]) > 10
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name


def test_the_versions_of_both_clients_are_the_same() -> None:
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()


def test_the_code_on_the_pages_runs(folder: Path, addresses: dict[str, str]) -> None:
    build = PACKAGE / "build" / "pages"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    count = 0
    for page in PAGES:
        for code in code_blocks(page.read_text(), "ts"):
            assert DEFAULT in code, code
            count += 1
            text = code.replace(DEFAULT, addresses["EVENFACE_ROOMY"])
            (build / f"page{count}.ts").write_text(text)
    assert count > 3
    run("npx", "--no-install", "tsc", "-p", "test/pages.json")
    for number in range(1, count + 1):
        run("node", str(PACKAGE / "build" / "run" / f"page{number}.js"), folder=folder)


def test_the_examples_leave_what_they_say(addresses: dict[str, str], tmp_path: Path) -> None:
    roomy = addresses["EVENFACE_ROOMY"]
    run("node", "examples/faces.mjs", str(tmp_path / "out"), roomy)
    assert {f"{i}.png" for i in range(4)} < {path.name for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "broken.png").write_bytes(b"no image")
    run("node", "examples/score-folder.mjs", str(tmp_path / "out"), str(tmp_path / "s.csv"), roomy)
    header, *rows = (tmp_path / "s.csv").read_text().splitlines()
    assert header == "file,probability,error"
    assert len(rows) == 9
    (broken,) = (row for row in rows if "broken.png" in row)
    assert broken.endswith(',"not a JPEG, PNG or WebP image"')
