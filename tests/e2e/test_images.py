"""The images, as far as no container engine is needed.

Install commands of server and batch are read from docker/Dockerfile and run in fresh environments;
what the extras of the others hold is test_install's subject. Then the
server of its stage is run as in the chart's pod: as a user who is not root, without capabilities,
on a root file system and a model directory that are read-only.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

import pytest
from evenface_client import Client
from support.charts import render, rendered, server
from support.commands import succeed
from support.dockerfiles import command, last, lineage, stages, variables

ROOT = Path(__file__).parents[2]
TARGETS = ("server", "server-cuda", "training", "batch")
FORBIDDEN = ("torch", "onnx", "onnxscript", "pip", "setuptools", "hatchling")


class Build:
    """The stage "build" and those that install, with folders of this machine in place of theirs.

    Args:
        folder: Holds what is in an image's /src, /wheels and /opt/evenface.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run(
            "python3 -m venv /system",
            {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
        self._do(stages()["build"].steps)

    def install(self, target: str) -> Path:
        """Do what TARGET-installed does; the environment."""
        shutil.rmtree(self.folder / "opt", ignore_errors=True)
        self._do(stages()[f"{target}-installed"].steps)
        return self.folder / "opt" / "evenface"

    def _do(self, steps: Sequence[tuple[str, str]]) -> None:
        for kind, rest in steps:
            if kind == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    self._copy(ROOT / source, self.folder / "src" / target)
            elif kind == "RUN":
                self._run(re.sub(r"--mount=\S+ ", "", rest))

    def _copy(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
            )
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target)

    def _run(self, line: str, environment: dict[str, str] | None = None) -> str:
        for theirs in ("/opt/evenface", "/wheels", "/src", "/system"):
            line = re.sub(rf"(?<![\w/]){theirs}", str(self.folder / theirs[1:]), line)
        own = {
            key: value.replace("/src", str(self.folder / "src"))
            for key, value in variables("build").items()
        }
        source = self.folder / "src"
        source.mkdir(exist_ok=True)
        path = f"{self.folder / 'system' / 'bin'}:{os.environ['PATH']}"
        # Nothing is compiled, which takes long (pip: "0" sets an option that is negative).
        whole = {**os.environ, **own, "PATH": path, "PIP_NO_COMPILE": "0", **(environment or {})}
        command = ["/bin/sh", "-c", line]
        return succeed(command, folder=source, environment=whole, seconds=600)


@pytest.fixture(scope="module")
def build() -> Iterator[Build]:
    """Not below pytest's folder, which is root's alone."""
    folder = Path(mkdtemp(prefix="evenface-images-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield Build(folder)
    shutil.rmtree(folder)


def packages(environment: Path) -> set[str]:
    found = (environment / "lib").glob("python3.*/site-packages/*.dist-info")
    return {path.name.split("-")[0].lower().replace("_", "-") for path in found}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_who_is_not_root_from_a_base_with_a_digest(target: str) -> None:
    assert last(target, "USER") == "10001:10001"
    assert re.search(r"@sha256:[0-9a-f]{64}$", lineage(target)[0].base)
    copied = [rest for stage in lineage(target) for kind, rest in stage.steps if kind == "COPY"]
    assert copied.pop() == f"--from={target}-installed /opt/evenface /opt/evenface"
    assert copied in ([], ["models /models"])
    assert not any("pip" in rest for kind, rest in lineage(target)[-1].steps if kind == "RUN")


def test_the_chart_runs_what_the_images_have_and_as_their_user() -> None:
    container = server(rendered("default"))
    assert container["command"] == command("server", "ENTRYPOINT")
    (pod,) = [
        o["spec"]["template"]["spec"] for o in rendered("default") if o["kind"] == "Deployment"
    ]
    assert f"{pod['securityContext']['runAsUser']}:" in last("server", "USER")
    assert f"--models={variables('server')['EVENFACE_MODELS']}" in container["args"]


def test_the_default_bundle_is_all_of_models_that_comes_along() -> None:
    listed = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert listed[0] == "*"
    copied = [
        source
        for stage in stages().values()
        for kind, rest in stage.steps
        if kind == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert {f"!{source}" for source in copied} == {line for line in listed if line.startswith("!")}


def test_images_differ_in_what_is_installed_alone() -> None:
    extras = "cli,tracing,signing"
    wanted = {
        "server": f"server,{extras}",
        "server-cuda": f"gpu,{extras}",
        "training": "export,hdf5,parquet",
    }
    lines = {
        target: [rest for kind, rest in stages()[f"{target}-installed"].steps if kind == "RUN"]
        for target in wanted
    }
    for target, extras in wanted.items():
        assert lines[target] == [lines["server"][0].replace(wanted["server"], extras)]


def test_the_batch_image_holds_its_command_and_no_framework(build: Build) -> None:
    environment = build.install("batch")
    assert not {*FORBIDDEN, "grpcio-health-checking"} & packages(environment)
    (program,) = command("batch", "ENTRYPOINT")
    done = subprocess.run(
        [environment / "bin" / program, "--help"], capture_output=True, text=True, check=True
    )
    assert "encode" in done.stdout


@pytest.fixture(scope="module")
def installed(build: Build) -> Path:
    return build.install("server")


def test_the_server_image_holds_no_framework_and_no_installer(installed: Path) -> None:
    found = packages(installed)
    assert {"evenface", "onnxruntime", "grpcio-health-checking"} <= found
    assert not set(FORBIDDEN) & found


def test_the_server_of_the_image_starts_from_what_is_installed_there(installed: Path) -> None:
    with Pod(installed, []) as pod:
        _call(pod)
        pod.process.terminate()
        assert pod.process.wait(60) == 0


def test_the_server_of_the_image_is_nobody_in_particular_on_a_read_only_file_system(
    build: Build, installed: Path
) -> None:
    if not _may_change_mounts() or shutil.which("setpriv") is None:
        pytest.skip("needs root that may change mounts, and setpriv, to become somebody else")
    shutil.copytree(ROOT / "models", build.folder / "models")
    with Pod(installed, _namespace(build.folder), build.folder / "models") as pod:
        port = _call(pod)
        lines = Path(f"/proc/{pod.process.pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (one.partition(":") for one in lines)}
        assert status["Uid"] == status["Gid"] == ["10001"] * 4
        assert status["CapEff"] == status["CapBnd"] == ["0000000000000000"]
        assert status["NoNewPrivs"] == ["1"]
        assert pod.check_health(port) == 0
        pod.process.terminate()
        assert pod.process.wait(60) == 0
        assert pod.check_health(port) == 1
    assert list((build.folder / "scratch").iterdir()) == []


def _may_change_mounts() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and not subprocess.run([unshare, "--mount", "true"], check=False).returncode
    )


def _call(pod: "Pod") -> str:
    """Call the server; its port for health."""
    line = pod.wait_for("serving")
    with Client(str(line["address"])) as client:
        faces = client.sample(2, seed=1).images
        assert client.encode(faces).mean.shape == (2, 100)
    return str(line["health_address"]).rpartition(":")[2]


# In a mount namespace of its own: Python is made visible to others than root, the model directory
# and everything else read-only, and /tmp the scratch volume.
_NAMESPACE = r"""
mount --make-rprivate /
if [ -n "$HIDDEN" ]; then
  mount --bind "$PREFIX" "$FOLDER/python"
  mount -t tmpfs -o mode=755 tmpfs "$HIDDEN"
  mkdir -p "$PREFIX"
  mount --bind "$FOLDER/python" "$PREFIX"
fi
mount --bind "$FOLDER/models" "$FOLDER/models"
mount -o remount,bind,ro "$FOLDER/models"
mount --bind "$FOLDER/scratch" /tmp
mount -o remount,bind,ro /
for path in "$FOLDER/x" "$FOLDER/models/x" "$FOLDER/opt/x"; do
  if touch "$path" 2>/dev/null; then echo "$path can be written" >&2; exit 9; fi
done
cd /tmp
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
  --bounding-set -all --inh-caps -all -- "$@"
"""


def _namespace(folder: Path) -> list[str]:
    """What runs a command as a pod would, with some folders for its mounts."""
    for name in ("python", "scratch"):
        (folder / name).mkdir()
    os.chown(folder / "scratch", 10001, 10001)
    prefix = Path(sys.base_prefix)
    hidden = [one for one in (prefix, *prefix.parents) if not one.stat().st_mode & 0o001]
    given = {
        "HIDDEN": str(hidden[-1]) if hidden else "",
        "PREFIX": str(prefix),
        "FOLDER": str(folder),
    }
    variables = [f"{name}={value}" for name, value in given.items()]
    return ["env", *variables, "unshare", "--mount", "/bin/sh", "-euc", _NAMESPACE, "pod"]


class Pod:
    """The server's container of the chart, run here on ports of its own.

    Args:
        environment: With the server's command.
        wrapper: What runs commands.
        models: The model directory.
    """

    def __init__(
        self, environment: Path, wrapper: Sequence[str], models: Path = ROOT / "models"
    ) -> None:
        self._environment, self._wrapper, self._models = environment, wrapper, models

    def __enter__(self) -> Self:
        container = server(render({"model": {"path": str(self._models)}}))
        arguments = []
        for argument in container["args"]:
            option, _, value = argument.partition("=")
            own = {"host": "127.0.0.1", "port": "0", "delay": "0"}
            arguments.append(f"{option}={own.get(re.split('-', option)[-1], value)}")
        variables = {one["name"]: one["value"] for one in container["env"]}
        self.process = self._start([*container["command"], *arguments], variables)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for(self, event: str) -> dict[str, object]:
        """The first line of its log with an event."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("{") and (found := json.loads(line))["event"] == event:
                return dict(found)
        raise AssertionError("".join(said))

    def check_health(self, port: str) -> int:
        """Run the image's health check as the server is run; the exit code."""
        check = command("server", "HEALTHCHECK")
        with self._start(check, {"EVENFACE_HEALTH_PORT": port}) as process:
            process.communicate(timeout=60)
            return process.returncode

    def _start(self, wanted: Sequence[str], own: dict[str, str]) -> subprocess.Popen[str]:
        path = f"{self._environment / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            [*self._wrapper, *wanted],
            env={**own, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
