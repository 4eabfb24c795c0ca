"""Checkpoint files: what is written comes back, and what is wrong is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from evenface_core.errors import TrainingError
from evenface_training.checkpoint import (
    Checkpoint,
    Progress,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from evenface_training.config import TrainingConfig
from evenface_training.models import build_model

ConfigMaker = Callable[..., TrainingConfig]


@pytest.fixture
def checkpoint(make_config: ConfigMaker) -> Checkpoint:
    config = make_config()
    weights = build_model(config.model, seed=5).state_dict()
    tensors = {f"averaged.{name}": tensor for name, tensor in weights.items()}
    progress = Progress(epoch=2, position=3, step=11, sums={"loss": 0.1}, best_loss=1 / 3)
    return Checkpoint(config, progress, "digest", tensors)


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "run" / "last.safetensors"
    save_checkpoint(path, checkpoint)
    return path


def test_what_is_saved_comes_back_to_the_last_bit(path: Path, checkpoint: Checkpoint) -> None:
    found = load_checkpoint(path)
    assert (found.config, found.progress, found.data_digest) == (
        checkpoint.config,
        checkpoint.progress,
        "digest",
    )
    assert all(torch.equal(found.tensors[name], checkpoint.tensors[name]) for name in found.tensors)
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]


def test_a_checkpoint_of_another_version_names_both(path: Path) -> None:
    header = {"schema_version": 7}
    metadata = {"evenface.checkpoint": json.dumps(header)}
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(TrainingError, match=r"last\.safetensors.*version 7.*reads 1"):
        load_model(path)


def test_a_truncated_checkpoint_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TrainingError, match=r"last\.safetensors: damaged"):
        load_checkpoint(path)


def test_a_pickle_is_refused_unopened(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="damaged or no safetensors"):
        load_checkpoint(path)


def test_a_foreign_safetensors_file_is_refused(path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(TrainingError, match="no evenface checkpoint"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"gone\.safetensors: no such checkpoint"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_weights_of_another_shape_are_refused(path: Path, checkpoint: Checkpoint) -> None:
    tensors = {**checkpoint.tensors, "averaged.encoder.0.weight": torch.zeros(1)}
    save_checkpoint(path, Checkpoint(checkpoint.config, checkpoint.progress, "d", tensors))
    with pytest.raises(TrainingError, match="weights do not fit"):
        load_model(path)


def test_a_failed_write_leaves_the_old_checkpoint(
    path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(TrainingError, match=r"cannot write .*last\.safetensors: No space left"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]
