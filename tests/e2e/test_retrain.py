"""The example that trains a classifier evenly and by weights, on a tiny bundle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from evenface_client.weights import read_weights

SCRIPT = Path(__file__).parents[2] / "demo" / "retrain.py"
SMALL = ("--faces", "40", "--test", "48", "--epochs", "1", "--seeds", "2", "--rule", "lab")


def test_the_example_weights_faces_trains_twice_and_shows_the_groups(
    tiny_models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "retrain"
    command = [sys.executable, str(SCRIPT), "--model", str(tiny_models / "faces" / "1")]
    run = subprocess.run(
        [*command, "--out", str(out), *SMALL], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads((out / "groups.json").read_text())
    header, _, *rows = run.stdout.strip().splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(figures)
    assert "rate, even | rate, weighted | difference" in header
    tones = [figure for name, figure in figures.items() if name.startswith("tone_group")]
    assert sum(tone["share"] for tone in tones) == pytest.approx(1)
    assert sum(tone["share_of_weight"] for tone in tones) == pytest.approx(1)
    assert any(abs(tone["share"] - tone["share_of_weight"]) > 1e-3 for tone in tones)
    assert len(figures["all"]["even"]) == len(figures["all"]["weighted"]) == 2
    assert len(read_weights(out / "job").values) == 40


def test_a_model_that_is_not_there_ends_the_example_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--model", str(tmp_path / "none"), *SMALL]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "none" in run.stderr.splitlines()[-1]
