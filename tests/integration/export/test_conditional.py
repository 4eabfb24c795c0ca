"""A conditional model as a bundle: what it says of itself, and what the runtime makes of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_export.main import main
from evenface_runtime import open_model
from evenface_training.checkpoint import (
    LoadedModel,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from evenface_training.data import TrainingData, load_data
from evenface_training.evaluate import decode_all, evaluate
from PIL import Image

SaveCheckpoint = Callable[..., Path]

NAMES = ("odd", "third")
MODEL = {"kind": "vae", "image_size": 32, "latent_size": 8, "n_filters": 4, "hidden_size": 16}


@pytest.fixture(scope="module")
def run(save: SaveCheckpoint, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditional")
    rows = [
        f"{path.name},{2 * (number % 2) - 1},{int(number % 3 == 0)}"
        for number, path in enumerate(sorted((data_folder / "face").glob("*.png")))
    ]
    (folder / "labels.csv").write_text("\n".join(["file,odd,third", *rows]) + "\n")
    run = save(
        "vae",
        model={**MODEL, "conditions": NAMES},
        data={
            "faces": data_folder / "face",
            "labels": folder / "labels.csv",
            "validation_fraction": 0.3,
            "cache": folder / "cache",
        },
        resampling={"enabled": False},
    )
    _sharpen(run / "checkpoints" / "best.safetensors")
    return run


def _sharpen(path: Path) -> None:
    """Double the decoder's weights, layer by layer, so that its images show what it is told."""
    checkpoint = load_checkpoint(path)
    tensors = {
        name: 2 * tensor if "decoder" in name and name.endswith("weight") else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    save_checkpoint(path, replace(checkpoint, tensors=tensors))


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    options = ["--out", run / "models", "--pictures", run / "pictures"]
    assert main([str(run), *map(str, options)]) == 0
    return open_bundle(run / "models" / "faces" / "1")


@pytest.fixture(scope="module")
def loaded(run: Path) -> LoadedModel:
    return load_model(run / "checkpoints" / "best.safetensors")


@pytest.fixture(scope="module")
def data(loaded: LoadedModel) -> TrainingData:
    return load_data(loaded.config)


def test_manifest_and_card_name_the_conditions(bundle: Bundle) -> None:
    assert bundle.manifest.conditions == bundle.manifest.attributes == NAMES
    assert "`odd`, `third`" in bundle.card


def test_the_runtime_decodes_as_torch_does(bundle: Bundle, loaded: LoadedModel) -> None:
    model = open_model(bundle, "cpu")
    latents = np.random.default_rng(0).standard_normal((5, 8), np.float32)
    asked = np.random.default_rng(1).uniform(-1, 1, (5, 2)).astype(np.float32)
    found = model.decode(latents, asked).astype(int)
    assert np.abs(found - decode_all(loaded.model, latents, asked)).max() <= 1
    assert np.abs(found - decode_all(loaded.model, latents)).max() > 10


def test_figures_of_reconstruction_are_of_faces_decoded_with_their_conditions(
    bundle: Bundle, loaded: LoadedModel, data: TrainingData
) -> None:
    images, rows = data.faces.images, data.faces.validation
    model = open_model(bundle, "cpu")
    mean, _ = model.encode(images[rows])
    rebuilt = model.decode(mean, data.conditions[rows]).astype(float)
    error = np.abs(rebuilt - images[rows]).mean() / 255
    assert bundle.manifest.quality["reconstruction_l1"] == pytest.approx(error, rel=1e-4)
    figures = evaluate(loaded.model, data, loaded.config.loss).figures
    assert figures["l1"] == pytest.approx(error, abs=0.002)


def test_each_condition_is_drawn_from_minus_one_to_one(bundle: Bundle, run: Path) -> None:
    posterior = bundle.manifest.aggregate_posterior
    assert posterior is not None
    centre = np.tile(np.array(posterior.mean, np.float32), (2, 1))
    asked = np.array([[-1, 0], [0, 1]], np.float32)
    first, last = open_model(bundle, "cpu").decode(centre, asked).astype(int)
    assert np.abs(first - last).max() > 10
    with Image.open(run / "pictures" / "conditions.png") as page:
        pixels = np.asarray(page).astype(int)
    scale, gap = 3, 2  # to tiles of 96
    stride = scale * 32 + gap
    assert pixels.shape == (2 * stride - gap, 9 * stride - gap, 3)
    for row, column, expected in ((0, 0, first), (1, 8, last)):
        tile = pixels[row * stride :, column * stride :][: scale * 32 : scale, : scale * 32 : scale]
        assert np.abs(tile - expected).max() <= 1
