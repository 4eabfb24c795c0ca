"""Every ready-made configuration at small size: trained, exported, served and called."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from evenface_client import Client
from evenface_client.cli import main as evenface
from evenface_core.bundle import open_bundle
from evenface_core.manifest import Manifest
from evenface_core.pictures import save_png
from evenface_export.main import main as export
from evenface_training.checkpoint import load_model
from evenface_training.config import ready_made
from evenface_training.evaluate import decode_all, encode_all, to_images, to_tensor
from evenface_training.main import main as train
from numpy.typing import NDArray
from PIL import Image
from support.faces import draw_face, draw_nonface
from support.servers import server_process

FACES, NONFACES = 72, 40
EPOCHS = 6

_LAB: dict[str, object] = {"model.image_size": 32, "model.latent_size": 8, "model.n_filters": 4}
_STRONG: dict[str, object] = {
    "model.latent_size": 8,
    "model.n_filters": 4,
    "optimizer.warmup_steps": 2,
}
SMALL: dict[str, dict[str, object]] = {
    "lab-cnn": _LAB,
    "cnn-strong": _LAB,
    "lab-vae": _LAB,
    "lab-dbvae": _LAB,
    "faces": {**_LAB, "data.group_columns": "[tone]", "optimizer.warmup_steps": 2},
    "cvae": {
        **_LAB,
        "model.n_filters": 8,
        "model.conditions": "[blue, left]",
        "optimizer.epochs": 30,  # until the decoder heeds what it is told
    },
    "mlp-vae": {"model.hidden_size": 64, "optimizer.epochs": 60},  # until it shows where a face is
    "conv-vae": {},
    "synthetic": {
        **_LAB,
        "data.source": "{kind: synthetic, faces: 48, nonfaces: 40}",
        "data.faces": "null",
    },
    "vae112": {"model.n_filters": 4, "model.latent_size": 16},
    "dbvae-strong": {**_STRONG, "model.image_size": 32},
    "dbvae-strong-128": _STRONG,
}
COLORIZER: dict[str, object] = {
    "model.n_filters": 12,
    "optimizer.epochs": 40,
}  # attached to the conv-vae
CLASSIFIERS = ("lab-cnn", "cnn-strong")
WITH_NONFACES = (*CLASSIFIERS, "lab-dbvae", "faces", "dbvae-strong", "dbvae-strong-128")


@dataclass(frozen=True)
class Trained:
    """A configuration's run and its bundle, of the same name, in the model directory."""

    name: str
    run: Path
    models: Path
    colorizer: Path | None = None

    @property
    def manifest(self) -> Manifest:
        return open_bundle(self.models / self.name / "1").manifest


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`face/`, every second blue, `nonface/`, and `labels.csv`: tone, blue (0, 1), left (-1, 1)."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    lines = ["file,tone,blue,left"]
    for number in range(FACES):
        blue, left = number % 2, 2 * (number // 2 % 2) - 1
        face = np.roll(draw_face(rng, rare=bool(blue)), -4 * left, axis=1)
        save_png(root / "face" / f"{number:03}.png", face)
        lines.append(f"face/{number:03}.png,{'blue' if blue else 'plain'},{blue},{left}")
    for number in range(NONFACES):
        save_png(root / "nonface" / f"{number:03}.png", draw_nonface(rng))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def train_small(name: str, folder: Path, data: Path, changes: dict[str, object]) -> Path:
    """Train a ready-made configuration; return its run."""
    values = {
        "device": "cpu",
        "optimizer.epochs": EPOCHS,
        "optimizer.batch_size": 8,
        "optimizer.learning_rate": 0.003,
        "optimizer.ema_decay": 0.0,
        "data.validation_fraction": 0.25,
        "data.cache": folder / "cache",
        "data.faces": data / "face",
        **({"data.nonfaces": data / "nonface"} if name in WITH_NONFACES else {}),
        **changes,
    }
    if name in ("cvae", "faces", "mlp-vae"):
        values["data.labels"] = data / "labels.csv"
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    assert train([name, "--run", str(folder / "run"), *settings]) == 0
    return folder / "run"


@pytest.fixture(scope="module", params=sorted(SMALL))
def trained(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    run = train_small(name, folder, data, SMALL[name])
    options = ["--out", str(folder / "models"), "--name", name]
    colorizer = None
    if name == "mlp-vae":
        options += ["--attributes", "left"]
    if name == "conv-vae":
        colorizer = train_small("colorizer", tmp_path_factory.mktemp("colour"), data, COLORIZER)
        options += ["--colorizer", str(colorizer), "--pictures", str(folder / "pictures")]
    assert export([str(run), *options]) == 0
    return Trained(name, run, folder / "models", colorizer)


@pytest.fixture(scope="module")
def address(trained: Trained) -> Iterator[str]:
    with server_process(trained.models, "--default-model", trained.name) as server:
        yield server.address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as opened:
        yield opened


@pytest.fixture(scope="module")
def files(data: Path) -> list[Path]:
    return sorted((data / "face").glob("*.png"))


def test_every_ready_made_configuration_is_tested_here() -> None:
    assert sorted([*SMALL, "colorizer"]) == ready_made()


def test_training_lowers_the_loss(trained: Trained) -> None:
    lines = (trained.run / "metrics.jsonl").read_text().splitlines()
    epochs = [line for line in map(json.loads, lines) if line["kind"] == "epoch"]
    assert len(epochs) == SMALL[trained.name].get("optimizer.epochs", EPOCHS)
    assert epochs[-1]["train"]["loss"] < epochs[0]["train"]["loss"]


def test_the_client_gets_what_the_trained_model_computes(
    trained: Trained, client: Client, files: list[Path]
) -> None:
    manifest = trained.manifest
    loaded = load_model(trained.run / "checkpoints" / "best.safetensors")
    size = manifest.preprocessing.size
    images = np.random.default_rng(0).integers(
        0, 256, (7, size, size, manifest.preprocessing.channels), np.uint8
    )
    expected = encode_all(loaded.model, images, np.arange(7))
    if expected.logit is not None:
        np.testing.assert_allclose(client.classify(images).logits, expected.logit, atol=1e-3)
        assert len(client.classify(files).is_face) == FACES
    if expected.mean is not None:
        np.testing.assert_allclose(client.encode(images).mean, expected.mean, atol=1e-3)
        latents = client.encode(files).mean
        assert latents.shape == (FACES, manifest.latent_size)
        decoded = client.decode(latents).images.astype(int)
        assert np.abs(decoded - decode_all(loaded.model, latents)).max() <= 1


@pytest.mark.parametrize("trained", sorted({*SMALL} - {*CLASSIFIERS}), indirect=True)
def test_faces_are_drawn_and_weighted(trained: Trained, client: Client, files: list[Path]) -> None:
    manifest = trained.manifest
    size = manifest.preprocessing.size
    drawn = client.sample(3, seed=5).images
    assert drawn.shape == (3, size, size, manifest.preprocessing.channels)
    assert (drawn != client.sample(3, seed=6).images).any()
    assert client.resample_weights(files).weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("trained", ["mlp-vae"], indirect=True)
def test_an_attribute_is_edited_along_its_vector(
    trained: Trained, client: Client, files: list[Path]
) -> None:
    (worth,) = client.model().attributes
    assert (worth.name, trained.manifest.attributes) == ("left", ("left",))
    assert worth.auc is not None
    assert worth.auc > 0.9
    numbers = np.arange(FACES)
    left = numbers // 2 % 2 == 1
    rebuilt = client.decode(client.encode(files).mean).images.astype(float)
    centres = rebuilt[~left].mean(axis=0), rebuilt[left].mean(axis=0)
    way = centres[1] - centres[0]

    def shift(images: NDArray[np.uint8]) -> float:
        """Where between the two kinds images lie: 0 to 1."""
        return float(((images - centres[0]) * way).sum() / (way * way).sum() / len(images))

    chosen = [file for file, moved in zip(files, left, strict=True) if not moved]
    edited = client.edit(chosen, attributes={"left": 1.0}, steps=2)
    half, whole = edited.images.swapaxes(0, 1)
    assert shift(edited.originals) == pytest.approx(0, abs=1e-6)
    assert 0.2 < shift(half) < shift(whole)
    assert shift(whole) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("trained", ["cvae"], indirect=True)
def test_a_conditional_model_draws_what_it_is_asked_for(trained: Trained, client: Client) -> None:
    assert trained.manifest.conditions == ("blue", "left")
    assert client.model().info.attributes == ("blue", "left")

    def middle(**attributes: float) -> float:
        """How much more blue than red the middle of a drawn face is."""
        images = client.sample(24, seed=1, attributes=attributes).images.astype(float)
        red, _, blue = images[:, 12:20, 12:20].mean(axis=(0, 1, 2))
        return float(blue - red)

    assert middle(blue=1, left=1) > middle(blue=0, left=1) + 20
    assert middle(blue=1, left=-1) > middle(blue=0, left=-1) + 20


@pytest.mark.parametrize("trained", ["conv-vae"], indirect=True)
def test_a_grey_model_decodes_in_colour_with_its_colorizer(
    trained: Trained, client: Client
) -> None:
    info = client.model().info
    assert set(info.functions) == {"encode", "decode", "colorize"}
    assert info.quality["color_l1"] < info.quality["color_grey_l1"]
    assert "Left grey" in client.model().card
    grey, painted = client.sample(9, seed=1), client.sample(9, seed=1, color=True).images
    assert (grey.images.shape, painted.shape) == ((9, 30, 30, 1), (9, 30, 30, 3))
    assert trained.colorizer is not None
    colorizer = load_model(trained.colorizer / "checkpoints" / "best.safetensors").model
    assert colorizer.decoder is not None
    with torch.inference_mode():
        expected = to_images(colorizer.decoder(to_tensor(grey.images, torch.device("cpu"))))
    assert np.abs(painted.astype(int) - expected).max() <= 1
    again = client.decode(grey.latents, color=True).images.astype(int)
    assert np.abs(again - painted).max() <= 1  # in other batches


@pytest.mark.parametrize("trained", ["conv-vae"], indirect=True)
def test_pictures_are_written_in_colour(trained: Trained, address: str, tmp_path: Path) -> None:
    pictures = [trained.run.parent / "pictures" / "colours.png"]
    assert trained.colorizer is not None
    pictures.append(trained.colorizer / "pictures" / "colours.png")
    asking = ["--server", address, "--color", "--out"]
    pictures.append(tmp_path / "sample.png")
    assert evenface(["sample", *asking, str(pictures[-1])]) == 0
    for path in pictures:
        with Image.open(path) as page:
            red, green, _ = np.asarray(page.convert("RGB")).astype(int).transpose(2, 0, 1)
        assert (red != green).any(), path
