"""Images and checkpoints as training leaves them, with a tiny model of random weights."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.pictures import save_png
from evenface_export.main import main
from evenface_training.checkpoint import Checkpoint, Progress, save_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.models import build_model

SIDE = 32
FACES, NONFACES = 120, 90

SaveCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`face/`, `nonface/` and `labels.csv` with a column `tone`."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(FACES):
        radius = np.hypot(x - rng.uniform(0.4, 0.6), y - 0.5) * rng.uniform(1.5, 2.5)
        tint = rng.uniform(0.6, 1.0, 3) if number % 3 else np.ones(3)
        _save(folder / "face" / f"{number:03}.png", (1 - radius)[..., None] * tint)
    for held_out in ("004", "005"):  # copies of an image of the training part
        (folder / "face" / f"{held_out}.png").write_bytes(
            (folder / "face" / "006.png").read_bytes()
        )
    for number in range(NONFACES):
        _save(folder / "nonface" / f"{number:03}.png", rng.uniform(0, 1, (SIDE, SIDE, 3)))
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "tone"])
        for number in range(FACES):
            tone = "Gray" if number % 3 == 0 else ("color" if number % 3 == 1 else "")
            writer.writerow([f"face/{number:03}.png", tone])
    return folder


@pytest.fixture(scope="session")
def save(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SaveCheckpoint:
    """Save a run with an untrained model; keywords are parts of its configuration."""

    def save_run(kind: str = "dbvae", **changes: object) -> Path:
        run = tmp_path_factory.mktemp("run")
        config = _config(kind, data_folder, tmp_path_factory.getbasetemp() / "cache", changes)
        weights = build_model(config.model, config.seed).state_dict()
        save_checkpoint(
            run / "checkpoints" / "best.safetensors",
            Checkpoint(
                config=config,
                progress=Progress(epoch=3, step=30),
                data_digest=load_data(config).digest,
                tensors={f"averaged.{name}": tensor for name, tensor in weights.items()},
            ),
        )
        return run

    return save_run


@pytest.fixture(scope="session")
def dbvae_run(save: SaveCheckpoint) -> Path:
    return save("dbvae")


@pytest.fixture(scope="session")
def vae_run(save: SaveCheckpoint) -> Path:
    return save("vae")


@pytest.fixture(scope="session")
def cnn_run(save: SaveCheckpoint) -> Path:
    return save("cnn")


@pytest.fixture(scope="session")
def exported(dbvae_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle `models/faces/1` and the pictures beside it."""
    folder = tmp_path_factory.mktemp("exported")
    arguments = ["--out", folder / "models", "--pictures", folder / "pictures"]
    note = ["--data-note", "Blobs & noise."]
    assert main([str(dbvae_run), *map(str, arguments), *note]) == 0
    return folder


@pytest.fixture(scope="session")
def bundle(exported: Path) -> Bundle:
    return open_bundle(exported / "models" / "faces" / "1")


def _config(kind: str, data: Path, cache: Path, changes: dict[str, object]) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "name": "tiny",
            "model": {
                "kind": kind,
                "image_size": SIDE,
                "latent_size": 8,
                "n_filters": 4,
                "hidden_size": 16,
            },
            "data": {
                "faces": data / "face",
                "nonfaces": None if kind == "vae" else data / "nonface",
                "labels": data / "labels.csv",
                "group_columns": ["tone"],
                "validation_fraction": 0.3,
                "cache": cache,
            },
            "resampling": {"enabled": kind != "cnn", "min_effective_sample_size": 0.9},
            **changes,
        }
    )


def _save(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    save_png(path, (pixels.clip(0, 1) * 255).astype(np.uint8))
