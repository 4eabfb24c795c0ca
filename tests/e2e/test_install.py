"""Extras in a fresh virtual environment: each works, and holds no more than it should.

Those of the server and of batch jobs: test_images.
"""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support.datasets import write_jpegs

ROOT = Path(__file__).parents[2]

CLIENT_ALONE = {
    "evenface",
    "googleapis-common-protos",
    "grpcio",
    "grpcio-status",
    "numpy",
    "protobuf",
    "typing-extensions",
}


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)
    (built,) = folder.glob("evenface-*.whl")
    return built


class Installed:
    """A virtual environment with one extra of evenface and nothing else."""

    def __init__(self, folder: Path, wheel: Path, extra: str) -> None:
        self.folder = folder
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        wanted = f"{wheel}[{extra}]" if extra else wheel
        constraints = ROOT / "constraints.txt"
        self.pip("install", "--quiet", "--no-compile", "--constraint", constraints, wanted)

    def pip(self, *arguments: object) -> str:
        python = self.folder / "bin" / "python"
        return run(sys.executable, "-m", "pip", "--python", python, *arguments)

    def packages(self) -> set[str]:
        listed = json.loads(self.pip("list", "--format", "json"))
        return {package["name"].lower().replace("_", "-") for package in listed}

    def python(self, code: str) -> str:
        return run(self.folder / "bin" / "python", "-I", "-c", code)

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name


@pytest.fixture
def extra(request: pytest.FixtureRequest, tmp_path: Path, wheel: Path) -> Installed:
    return Installed(tmp_path / "venv", wheel, request.param)


@pytest.mark.parametrize("extra", [""], indirect=True)
def test_the_bare_install_is_the_client_and_nothing_more(extra: Installed) -> None:
    assert extra.packages() <= CLIENT_ALONE
    extra.python("import evenface_client; evenface_client.Client; evenface_client.AsyncClient")


@pytest.mark.parametrize("extra", ["training"], indirect=True)
def test_training_runs_from_its_extra_alone_without_onnx(extra: Installed) -> None:
    assert not {"onnx", "onnxruntime", "onnxscript", "grpcio-health-checking"} & extra.packages()
    assert "lab-dbvae" in run(extra.program("evenface-train"), "--help")
    assert "--replace" in run(extra.program("evenface-train"), "report", "--help")
    extra.python(
        "import sys, evenface_training.main\n"
        "assert 'fairlearn' not in sys.modules  # seconds that only a report needs\n"
        "from jinja2 import PackageLoader\n"
        "assert 'report.html.j2' in PackageLoader('evenface_training.report').list_templates()"
    )


@pytest.mark.parametrize("extra", ["export"], indirect=True)
def test_export_runs_from_its_extra_alone(extra: Installed) -> None:
    assert {"onnx", "onnxruntime", "torch"} <= extra.packages()
    assert "--replace" in run(extra.program("evenface-export"), "--help")


@pytest.mark.parametrize("extra", ["batch"], indirect=True)
def test_a_scoring_job_runs_from_its_extra_alone(extra: Installed, tmp_path: Path) -> None:
    assert not {"torch", "onnx", "ray", "hpack", "uvloop"} & extra.packages()
    (tmp_path / "faces").mkdir()
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg"])
    model = ROOT / "models" / "faces" / "1"
    command = extra.program("evenface-batch")
    run(command, "all", tmp_path / "faces", "--model", model, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "page.html").exists()


@pytest.mark.parametrize("extra", ["studio"], indirect=True)
def test_the_studio_shows_its_page_from_its_extra_alone(extra: Installed) -> None:
    assert not {"torch", "onnx", "onnxruntime", "hpack", "uvloop"} & extra.packages()
    command = [str(extra.program("evenface-studio")), "--server", "127.0.0.1:1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            found = re.search(r"http://\S+/", studio.stdout.readline())
            assert found
            for path in ("", "static/app.js", "static/tabs/explore.js", "static/drawn/dog.jpg"):
                with urllib.request.urlopen(found[0] + path, timeout=30) as reply:  # noqa: S310
                    assert reply.status == 200
        finally:
            studio.terminate()
    assert studio.returncode == 0


def test_make_studio_installs_the_studio_s_extra_and_starts_it() -> None:
    told = run("make", "--dry-run", "--always-make", "-C", ROOT, "studio", "STUDIO=--port 7861")
    assert "'.[studio]'" in told
    assert re.search(r"bin/evenface-studio --port 7861$", told, re.MULTILINE)
