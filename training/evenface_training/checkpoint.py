"""Checkpoints: everything that a run needs to go on, in one safetensors file.

Tensors lie under `model.`, `averaged.`, `optimizer.`, `sampler.` and `random.`; all else is JSON
in the file's header. No pickle: a checkpoint from a stranger can be opened without running it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from evenface_core.config import parse
from evenface_core.errors import TrainingError
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from evenface_training.config import TrainingConfig
from evenface_training.files import write_atomically
from evenface_training.models import FaceModel, build_model

SCHEMA_VERSION = 1

_HEADER_KEY = "evenface.checkpoint"


class Progress(BaseModel):
    """How far a run has come.

    Attributes:
        epoch: Epochs completed.
        position: Steps completed in the epoch that has begun; 0 between two epochs.
        step: Steps completed in all.
        sums: Loss terms summed over the steps of the epoch that has begun.
        best_loss: Lowest validation loss so far, or None before the first.
        metrics: Figures of the last validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = 0
    position: int = 0
    step: int = 0
    sums: dict[str, float] = {}
    best_loss: float | None = None
    metrics: dict[str, float] = {}


@dataclass(frozen=True)
class Checkpoint:
    """A run, put to sleep.

    Attributes:
        config: What the run was told.
        progress: How far it had come.
        data_digest: SHA-256 of the decoded images and their names.
        tensors: Weights, optimizer state, sampler and random state by dotted name.
    """

    config: TrainingConfig
    progress: Progress
    data_digest: str
    tensors: Mapping[str, Tensor] = field(repr=False)

    def section(self, name: str) -> dict[str, Tensor]:
        """The tensors below `name.`, without that prefix."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, ready for use.

    Attributes:
        model: In eval mode, on the CPU, with the averaged weights.
        config: What the run was told.
        epoch: Epochs completed.
        data_digest: SHA-256 of the decoded images and their names.
        metrics: Figures of the validation at the end of that epoch.
    """

    model: FaceModel
    config: TrainingConfig
    epoch: int
    data_digest: str
    metrics: Mapping[str, float]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file of that name is replaced in one move or stays as it is.

    Raises:
        TrainingError: The disk is full or the folder cannot be written.
    """
    header = {
        "schema_version": SCHEMA_VERSION,
        "config": checkpoint.config.model_dump(mode="json"),
        "progress": checkpoint.progress.model_dump(mode="json"),
        "data_digest": checkpoint.data_digest,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    data = safetensors.torch.save(tensors, metadata={_HEADER_KEY: json.dumps(header)})
    write_atomically(path, data)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        TrainingError: The file is missing, damaged, no checkpoint or of another schema version.
    """
    header, tensors = _read(path)
    version = header.get("schema_version")
    if version != SCHEMA_VERSION:
        raise TrainingError(
            f"{path}: checkpoint of schema version {version}; this program reads {SCHEMA_VERSION}"
        )
    try:
        return Checkpoint(
            config=parse(TrainingConfig, header["config"], source=str(path)),
            progress=Progress.model_validate(header["progress"]),
            data_digest=str(header["data_digest"]),
            tensors=tensors,
        )
    except (KeyError, ValidationError) as error:
        raise TrainingError(f"{path}: incomplete checkpoint ({error})") from error


def load_model(path: Path) -> LoadedModel:
    """Read a trained model out of a checkpoint.

    Raises:
        TrainingError: As `load_checkpoint`, or the weights do not fit the configuration.
    """
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.config.model, checkpoint.config.seed)
    try:
        model.load_state_dict(checkpoint.section("averaged"))
    except RuntimeError as error:
        raise TrainingError(f"{path}: the weights do not fit the configuration") from error
    return LoadedModel(
        model=model.eval(),
        config=checkpoint.config,
        epoch=checkpoint.progress.epoch,
        data_digest=checkpoint.data_digest,
        metrics=checkpoint.progress.metrics,
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise TrainingError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER_KEY)
            # Cloned, because the file may be replaced while its tensors are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise TrainingError(f"{path}: damaged or no safetensors checkpoint ({error})") from error
    try:
        header = json.loads(text or "")
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise TrainingError(f"{path}: a safetensors file, but no evenface checkpoint")
    return header, tensors
