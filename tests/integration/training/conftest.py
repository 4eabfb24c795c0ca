"""Small drawn faces and non-faces, and runs on them that take a second."""

from collections.abc import Callable
from pathlib import Path

import pytest
from evenface_training.config import TrainingConfig
from support.faces import write_images

ConfigMaker = Callable[..., TrainingConfig]
VaeMaker = Callable[..., TrainingConfig]
BothMaker = Callable[..., TrainingConfig]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Folders `face` and `nonface`, and `labels.csv` with a column `tone`."""
    return write_images(tmp_path / "images")


@pytest.fixture
def make_config(images: Path, tmp_path: Path) -> ConfigMaker:
    """A function that makes a small DB-VAE configuration, section by section."""

    def make(**sections: object) -> TrainingConfig:
        values: dict[str, object] = {
            "name": "tiny",
            "device": "cpu",
            "log_every": 1,
            "pictures_every": 100,
            "model": {"image_size": 32, "latent_size": 8, "n_filters": 4, "hidden_size": 32},
            "data": {
                "faces": images / "face",
                "nonfaces": images / "nonface",
                "labels": images / "labels.csv",
                "group_columns": ["tone"],
                "validation_fraction": 0.25,
                "cache": tmp_path / "cache",
            },
            "augmentation": {"flip": 0.5, "shift": 0.1, "hue": 10, "noise": 0.02, "jpeg": 0.2},
            "optimizer": {
                "epochs": 3,
                "batch_size": 16,
                "ema_decay": 0.9,
                "schedule": "cosine",
                "gradient_clip": 1.0,
                "learning_rate": 0.002,
            },
            "resampling": {"enabled": True, "warmup_epochs": 1},
        }
        for name, section in sections.items():
            old = values.get(name)
            merged = isinstance(old, dict) and isinstance(section, dict)
            values[name] = {**old, **section} if merged else section  # type: ignore[dict-item]
        return TrainingConfig.model_validate(values)

    return make


@pytest.fixture
def vae_of(make_config: ConfigMaker) -> VaeMaker:
    """A function that makes a small VAE's configuration out of a source and other data settings."""

    def make(source: dict[str, object], **data: object) -> TrainingConfig:
        alone: dict[str, object] = {"nonfaces": None, "labels": None, "group_columns": []}
        return make_config(model={"kind": "vae"}, data={**alone, "faces": source, **data})

    return make


@pytest.fixture
def both_of(make_config: ConfigMaker) -> BothMaker:
    """A function that makes a small DB-VAE's configuration out of one source of both."""

    def make(source: dict[str, object], **data: object) -> TrainingConfig:
        none: dict[str, object] = {
            "faces": None,
            "nonfaces": None,
            "labels": None,
            "group_columns": [],
        }
        return make_config(data={**none, "source": source, **data})

    return make
