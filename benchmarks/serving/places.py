"""Where the benchmark keeps what it makes, as paths relative to the repository's root.

Every program that is measured runs in the root, so that no recorded command names this machine.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(".cache/bench")  # ignored by git
MODELS = CACHE / "models"
PAYLOADS = CACHE / "payloads"
LOGS = CACHE / "logs"
VENVS = CACHE / "venvs"


def program(name: str) -> str:
    """A program that is installed beside the interpreter in use, such as `evenface-server`."""
    return relative(Path(sys.prefix) / "bin" / name)


def relative(path: Path) -> str:
    """A path as seen from the root, where it is below it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
