"""An environment of its own for tritonclient, kept between runs."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_REQUIREMENTS = Path(__file__).with_name("tritonclient.txt")
_FOLDER = _ROOT / ".cache" / "tritonclient"  # ignored by git
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError")


def triton_python() -> Path:
    """The interpreter that has tritonclient; skips the test where it cannot be downloaded."""
    python, stamp = _FOLDER / "bin" / "python", _FOLDER / _REQUIREMENTS.name
    wanted = _REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(_FOLDER))
        pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet")
        _run(
            *pip, "--no-compile", "--no-deps", "--retries", "1", "--requirement", str(_REQUIREMENTS)
        )
        stamp.write_text(wanted)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    if any(sign in done.stderr for sign in _UNREACHABLE):
        pytest.skip("the package index cannot be reached, and tritonclient is not there yet")
    assert done.returncode == 0, done.stderr
