"""Where a bundle comes from, as text for its manifest and card. Names no folder of this machine."""

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evenface_training.checkpoint import LoadedModel
from evenface_training.config import TrainingConfig

_LIBRARIES = ("evenface", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")

_CODE = (":/core", ":/training", ":/export")  # what has a say in a bundle; `:/` is git's root


def describe_origin(
    loaded: LoadedModel, checkpoint: Path, precision: str, note: str
) -> dict[str, str]:
    """Say where a model comes from.

    Args:
        loaded: The model.
        checkpoint: The file that it was read from.
        precision: Of the graphs.
        note: What its maker says of the data; may be empty.
    """
    origin = {
        "config": json.dumps(portable_config(loaded.config)),
        "seed": str(loaded.config.seed),
        "epoch": str(loaded.epoch),
        "data_digest": loaded.data_digest,
        "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "precision": precision,
        "git_revision": git_revision(Path(__file__).parent),
        "python": platform.python_version(),
        **{library: _version(library) for library in _LIBRARIES},
    }
    return {**origin, "data_note": note} if note else origin


def portable_config(config: TrainingConfig) -> dict[str, Any]:
    """Dump a configuration with the last part of its paths alone, and without the cache."""
    values = config.model_dump(mode="json")
    data = values["data"]
    del data["cache"]
    for key in ("faces", "nonfaces", "source", "labels"):
        data[key] = _portable(data[key])
    return values


def _portable(source: Any) -> Any:  # noqa: ANN401 - JSON: nothing, a path or a source's settings
    if isinstance(source, dict):
        return {**source, "path": Path(source["path"]).name} if "path" in source else source
    return source and Path(source).name


def git_revision(folder: Path) -> str:
    """The commit that a folder's files belong to, with `-dirty` where the code differs from it.

    Returns:
        A full hash, or "unknown" where git does not track the folder or is missing.
    """
    try:
        # An installed copy may lie in an unrelated repository that does not track it.
        if not _git(folder, "ls-files", "."):
            return "unknown"
        dirty = _git(folder, "status", "--porcelain", "--", *_CODE)
        return _git(folder, "rev-parse", "HEAD") + ("-dirty" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
