"""Small drawn faces and non-faces, and runs on them that take a second."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from evenface_core.pictures import save_png
from evenface_training.config import TrainingConfig
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]

_SIZE = 32
_FACES, _NONFACES = 48, 40
_RARE_EVERY = 12

ConfigMaker = Callable[..., TrainingConfig]


def draw_face(rng: np.random.Generator, *, rare: bool) -> UInt8:
    """An ellipse with two eyes; a rare one is blue."""
    y, x = np.mgrid[0:_SIZE, 0:_SIZE]
    image = np.full((_SIZE, _SIZE, 3), rng.integers(150, 220), np.uint8)
    top, left = 16 + rng.integers(-2, 3), 16 + rng.integers(-2, 3)
    skin = (40, 60, 230) if rare else (200, 150, 120)
    image[((y - top) / 12) ** 2 + ((x - left) / 9) ** 2 < 1] = skin
    for side in (-4, 4):
        image[(y - top + 3) ** 2 + (x - left + side) ** 2 < 4] = 20
    return image


def draw_nonface(rng: np.random.Generator) -> UInt8:
    """Coarse noise."""
    blocks = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Folders `face` and `nonface`, and `labels.csv` with a column `tone`."""
    rng = np.random.default_rng(7)
    root = tmp_path / "images"
    lines = ["file,tone"]
    for number in range(_FACES):
        rare = number % _RARE_EVERY == 0
        save_png(root / "face" / f"{number:03}.png", draw_face(rng, rare=rare))
        lines.append(f"face/{number:03}.png,{'blue' if rare else 'plain'}")
    for number in range(_NONFACES):
        save_png(root / "nonface" / f"{number:03}.png", draw_nonface(rng))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


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
                "horizontal_flip": True,
            },
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
