"""An environment of its own for each peer, kept between runs."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.places import ROOT
from benchmarks.serving.subjects import Subject, venv_of

# The same versions as here of what does the work, and what evenface_core needs to decode images.
_SHARED = ("onnxruntime", "pillow")
_CORE = ("pydantic>=2.10", "pyyaml>=6")
_STAMP = "requirements.txt"


class NotInstallable(Exception):
    """A peer cannot be installed; the message says why, in one line."""


def ensure_environment(subject: Subject) -> None:
    """Install a subject's packages where they are not yet.

    Raises:
        NotInstallable: pip or venv failed.
    """
    if not subject.requirements:
        return
    folder = ROOT / venv_of(subject.name)
    wanted = "\n".join(requirements_of(subject)) + "\n"
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {subject.name}", flush=True)
    _run(subject.python or _base_python(), "-m", "venv", "--clear", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet")
    _run(*pip, "--disable-pip-version-check", *requirements_of(subject))
    stamp.write_text(wanted)


def requirements_of(subject: Subject) -> list[str]:
    """All packages of a subject's environment, as pip takes them."""
    shared = [f"{name}=={importlib.metadata.version(name)}" for name in _SHARED]
    return [*subject.requirements, *shared, *_CORE]


def _base_python() -> str:
    return str(Path(sys.base_prefix) / "bin" / Path(sys.executable).name)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotInstallable(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = errors or done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NotInstallable(said[-1].removeprefix("ERROR: ")[:300])
