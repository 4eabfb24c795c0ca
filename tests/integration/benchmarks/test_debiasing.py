"""The debiasing benchmark, run for a moment on few drawn faces."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from evenface_training.config import TrainingConfig

from benchmarks.debiasing import __main__ as command
from benchmarks.debiasing.runs import train_and_test
from benchmarks.debiasing.sets import label_weights, load_train
from benchmarks.debiasing.variants import VARIANTS

BRIEF = [
    *("--size", "32", "--train", "60", "--test", "50", "--test-nonfaces", "50"),
    *("--epochs", "1", "--replicates", "3"),
]


def call(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> int:
    monkeypatch.setattr("sys.argv", ["debiasing", "evidence", *arguments])
    return command.main()


def test_a_stopped_comparison_goes_on_with_the_runs_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--seeds", "1", "--variants", "cnn", "known", *BRIEF, "--out", str(tmp_path)]
    calls = []

    def stopping(*args: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train_and_test(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "train_and_test", stopping)
    assert call(monkeypatch, arguments) == 130
    assert not (tmp_path / "debiasing-synthetic.md").exists()
    assert call(monkeypatch, arguments) == 0
    assert len(calls) == 5  # two, one that was stopped, and the two that were missing
    found = json.loads((tmp_path / "debiasing-synthetic.json").read_text())
    assert len(found["runs"]) == 4
    effective = {run["variant"]: run["effective_share"] for run in found["runs"]}
    assert effective["cnn"] == pytest.approx(1)
    assert 0 < effective["known"] < 0.99
    assert VARIANTS["known"].title in (tmp_path / "debiasing-synthetic.md").read_text()


def test_labels_give_the_groups_of_a_column_equal_weight_as_far_as_the_others_let_them(
    tmp_path: Path,
) -> None:
    config = TrainingConfig.model_validate(
        {
            "name": "labels",
            "model": {"kind": "cnn", "image_size": 32},
            "data": {
                "source": {"kind": "synthetic", "faces": 400, "nonfaces": 20, "seed": 1},
                "group_columns": ["hat"],
                "cache": tmp_path,
            },
        }
    )
    train = load_train(config, "known", 300)
    weights = train.weights
    assert len(weights) == 300
    assert weights.sum() == pytest.approx(1)
    sums = [weights[members].sum() for members in train.groups.values()]
    np.testing.assert_allclose(sums, 1 / len(train.groups))
    assert set(train.data.faces.train) < set(load_train(config, "biased", 300).data.faces.train)
    assert len(label_weights(load_train(config, "biased", 300).data)) == len(weights)
