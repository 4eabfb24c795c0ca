"""Extras in fresh virtual environments: each works, and holds no more than it should.

The bare package is fetched and installed by pip; for the others, see `support.environments`. Those
of the server and of batch jobs are installed by pip in test_images.
"""

import re
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import succeed
from support.datasets import write_jpegs
from support.environments import ROOT, Environment, build_wheel

WithExtra = Callable[[str], Environment]

CLIENT_ALONE = {
    "evenface",
    "googleapis-common-protos",
    "grpcio",
    "grpcio-status",
    "numpy",
    "protobuf",
    "typing-extensions",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def with_extra(tmp_path: Path, wheel: Path) -> WithExtra:
    """Make an environment with one extra of evenface and nothing else."""

    def make(extra: str) -> Environment:
        environment = Environment(tmp_path / "venv")
        environment.install_extra(wheel, extra)
        return environment

    return make


def test_the_bare_install_is_the_client_and_nothing_more(tmp_path: Path, wheel: Path) -> None:
    bare = Environment(tmp_path / "venv")
    bare.install(wheel)
    assert bare.packages() <= CLIENT_ALONE
    bare.python("import evenface_client; evenface_client.Client; evenface_client.AsyncClient")


def test_training_runs_from_its_extra_alone_without_onnx(with_extra: WithExtra) -> None:
    extra = with_extra("training")
    assert not {"onnx", "onnxruntime", "onnxscript", "grpcio-health-checking"} & extra.packages()
    assert "lab-dbvae" in succeed([extra.program("evenface-train"), "--help"])
    assert "--replace" in succeed([extra.program("evenface-train"), "report", "--help"])
    extra.python(
        "import sys, evenface_training.main\n"
        "assert 'fairlearn' not in sys.modules  # seconds that only a report needs\n"
        "from jinja2 import PackageLoader\n"
        "assert 'report.html.j2' in PackageLoader('evenface_training.report').list_templates()"
    )


def test_export_runs_from_its_extra_alone(with_extra: WithExtra) -> None:
    extra = with_extra("export")
    assert {"onnx", "onnxruntime", "torch"} <= extra.packages()
    assert "--replace" in succeed([extra.program("evenface-export"), "--help"])


def test_a_scoring_job_runs_from_its_extra_alone(with_extra: WithExtra, tmp_path: Path) -> None:
    extra = with_extra("batch")
    assert not {"torch", "onnx", "ray", "hpack", "uvloop"} & extra.packages()
    (tmp_path / "faces").mkdir()
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg"])
    model = ROOT / "models" / "faces" / "1"
    command = extra.program("evenface-batch")
    options = ("--model", model, "--out", tmp_path / "out")
    succeed([command, "all", tmp_path / "faces", *options])
    assert (tmp_path / "out" / "page.html").exists()


def test_the_studio_shows_its_page_from_its_extra_alone(with_extra: WithExtra) -> None:
    extra = with_extra("studio")
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
    told = succeed(
        ["make", "--dry-run", "--always-make", "-C", ROOT, "studio", "STUDIO=--port 7861"]
    )
    assert "'.[studio]'" in told
    assert re.search(r"bin/evenface-studio --port 7861$", told, re.MULTILINE)
