"""Commands that have to succeed."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def succeed(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 280,
) -> str:
    """Run a command in a folder, by default this one, and return what it printed.

    Raises:
        AssertionError: It ended with another code than 0; says what it printed.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
