"""Train, export, serve, call: the programs as a user runs them, one after the other."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import open_bundle
from PIL import Image
from support.commands import succeed
from support.faces import write_images
from support.servers import ServerProcess, server_process

SMALL = {
    "device": "cpu",
    "model.image_size": 32,
    "model.latent_size": 8,
    "model.n_filters": 4,
    "model.hidden_size": 32,
    "optimizer.epochs": 8,
    "optimizer.batch_size": 8,
    "optimizer.learning_rate": 0.003,
    "data.validation_fraction": 0.25,
    "data.group_columns": "[tone]",
}


def program(name: str, *arguments: object) -> str:
    return succeed([Path(sys.executable).with_name(name), *map(str, arguments)])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run_folder(images: Path) -> Path:
    run = images.parent / "run"
    values = {
        **SMALL,
        "data.faces": images / "face",
        "data.nonfaces": images / "nonface",
        "data.labels": images / "labels.csv",
        "data.cache": images.parent / "cache",
    }
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    program("evenface-train", "lab-dbvae", "--run", run, *settings)
    return run


@pytest.fixture(scope="module")
def models(run_folder: Path) -> Path:
    root = run_folder.parent / "models"
    program("evenface-export", run_folder, "--out", root, "--name", "mine", "--version", "3")
    return root


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[ServerProcess]:
    with server_process(models) as running:
        running.wait_for("serving")
        yield running
        assert running.stop() == 0


def evenface(server: ServerProcess, *arguments: object) -> str:
    command, *rest = arguments
    return program("evenface", command, "--server", server.address, *rest)


def test_training_leaves_its_figures_and_pictures(run_folder: Path) -> None:
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == list(range(1, 9))
    assert epochs[-1]["train"]["loss"] < epochs[0]["train"]["loss"]
    names = {"reconstructions", "samples", "rarest", "commonest", "losses"}
    assert {path.stem for path in (run_folder / "pictures").glob("*.png")} == names


def test_the_exported_bundle_describes_the_run(models: Path) -> None:
    bundle = open_bundle(models / "mine" / "3")
    assert set(bundle.manifest.functions) == {"encode", "decode", "classify"}
    assert {group.value for group in bundle.manifest.groups} == {"plain", "blue"}
    assert "mine" in bundle.card


def test_the_served_model_is_listed_with_what_it_can_do(server: ServerProcess) -> None:
    told = evenface(server, "info")
    assert "mine" in told
    assert "32" in told


def test_faces_are_told_from_noise_over_the_wire(
    server: ServerProcess, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    evenface(server, "classify", images / "face", images / "nonface", "--csv", out)
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 88
    kinds = [Path(row["file"]).parent.name == "face" for row in rows]
    probabilities = np.array([float(row["probability"]) for row in rows])
    assert np.mean((probabilities > 0.5) == np.array(kinds)) > 0.9


def test_latents_become_images_of_the_model_s_size(
    server: ServerProcess, images: Path, tmp_path: Path
) -> None:
    evenface(server, "encode", images / "face", "--out", tmp_path / "latents.npy")
    latents = np.load(tmp_path / "latents.npy")
    assert latents.shape == (48, 8)
    evenface(server, "decode", tmp_path / "latents.npy", "--out", tmp_path / "faces.png")
    with Image.open(tmp_path / "faces.png") as page:
        assert min(page.size) >= 32


def test_the_rare_blue_faces_get_more_than_their_share(
    server: ServerProcess, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "weights.csv"
    evenface(server, "weights", images / "face", "--out", out)
    with out.open() as stream:
        weights = {Path(row["file"]).stem: float(row["weight"]) for row in csv.DictReader(stream)}
    assert sum(weights.values()) == pytest.approx(1)
    rare = sum(weights[f"{number:03}"] for number in range(0, 48, 12))
    assert rare > 4 / 48
