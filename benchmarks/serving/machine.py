"""What a run was made with, so that its figures can be judged and repeated."""

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.serving.places import ROOT
from benchmarks.serving.processes import cores
from benchmarks.serving.subjects import Subject
from benchmarks.serving.venvs import requirements_of

_PACKAGES = ("evenface", "grpcio", "numpy", "onnxruntime", "pillow", "protobuf", "uvloop")


def describe(subjects: Iterable[Subject]) -> dict[str, object]:
    """Machine, versions and requirements as JSON values."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": _cpu(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "client": _output("h2load", "--version"),
        "revision": _output("git", "rev-parse", "--short", "HEAD"),
        "changed_since": bool(
            _output("git", "status", "--porcelain", "--", "server", "core", "protos")
        ),
        "peers": {each.name: requirements_of(each) for each in subjects if each.requirements},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return done.stdout.strip()
