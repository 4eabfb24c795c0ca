"""Attribute vectors of columns that are asked for, at export and afterwards."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_export.main import main as export
from evenface_export.relabel import main as add_attributes
from evenface_runtime import open_model


@pytest.fixture
def models(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported bundle, to be changed."""
    return Path(shutil.copytree(exported / "models", tmp_path / "models"))


@pytest.fixture
def labels(data_folder: Path, tmp_path: Path) -> Path:
    """Labels that the run knew nothing of: how bright a face is, and an empty column."""
    path = tmp_path / "other.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "Bright", "none"])
        for number, name in enumerate(sorted((data_folder / "face").glob("*.png"))):
            writer.writerow([name.name, number % 2, ""])
    return path


def add(models: Path, data: Path, labels: Path, *options: str) -> int:
    arguments = ["--faces", str(data / "face"), "--labels", str(labels), *options]
    return add_attributes([str(models / "faces" / "1"), *arguments])


def test_a_bundle_gets_attributes_of_labels_that_its_run_did_not_have(
    models: Path, data_folder: Path, labels: Path, tmp_path: Path, bundle: Bundle
) -> None:
    options = ["--columns", "Bright", "--version", "2", "--cache", str(tmp_path / "cache")]
    assert add(models, data_folder, labels, *options) == 0
    again = open_bundle(models / "faces" / "2")
    quality = again.manifest.attribute_quality["bright"]
    held_out = quality.held_out_positives + quality.held_out_negatives
    assert set(again.manifest.attribute_vectors) == {"bright"}
    assert quality.positives + quality.negatives == bundle.manifest.quality["training_faces"]
    assert held_out == bundle.manifest.quality["held_out_faces"]
    assert again.card.startswith("# faces, version 2\n")
    assert "| `bright` |" in again.card
    assert "tone-gray" not in again.card
    kept = {"name", "functions", "quality", "groups", "training_histogram"}
    assert again.manifest.model_dump(include=kept) == bundle.manifest.model_dump(include=kept)
    latents = np.zeros((2, 8), np.float32)
    assert open_model(again, "cpu", threads=1).decode(latents).shape == (2, 32, 32, 3)


def test_its_own_version_is_replaced(
    models: Path, data_folder: Path, labels: Path, tmp_path: Path
) -> None:
    options = ["--columns", "Bright", "--version", "1", "--cache", str(tmp_path / "cache")]
    assert add(models, data_folder, labels, *options) == 0
    assert set(open_bundle(models / "faces" / "1").manifest.attribute_vectors) == {"bright"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--columns", "Bold", "--version", "2"], "no label column 'Bold'; there are Bright, none"),
        (["--columns", "none", "--version", "2"], "no attribute has 20 faces on both sides"),
        (["--columns", "Bright", "--version", "../2"], "does not match"),
    ],
)
def test_what_cannot_be_added_is_said(
    models: Path,
    data_folder: Path,
    labels: Path,
    tmp_path: Path,
    options: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert add(models, data_folder, labels, *options, "--cache", str(tmp_path / "cache")) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in (models / "faces").iterdir()] == ["1"]


def test_another_version_and_a_classifier_are_left_alone(
    models: Path,
    data_folder: Path,
    labels: Path,
    cnn_run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(models / "faces" / "1", models / "faces" / "2")
    assert add(models, data_folder, labels, "--columns", "Bright", "--version", "2") == 2
    assert "faces/2: this version exists" in capsys.readouterr().err
    assert export([str(cnn_run), "--out", str(models), "--replace"]) == 0
    assert add(models, data_folder, labels, "--columns", "Bright", "--version", "3") == 2
    assert "attributes need a model that encodes and decodes" in capsys.readouterr().err


def test_export_takes_the_columns_that_it_is_told(
    vae_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(vae_run), "--out", str(tmp_path)]
    assert export([*options, "--attributes", "tune"]) == 2
    assert "attributes: no label column 'tune'; there are tone" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()
    assert export([*options, "--attributes"]) == 0
    bundle = open_bundle(tmp_path / "faces" / "1")
    assert bundle.manifest.attribute_vectors == {}
    assert "## Attribute vectors" not in bundle.card
