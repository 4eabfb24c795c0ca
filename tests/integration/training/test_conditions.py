"""Conditional models through a whole run: what they are told, resuming, and labels that fail."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evenface_core.errors import DataError
from evenface_training.checkpoint import load_checkpoint, load_model
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.device import open_device
from evenface_training.evaluate import decode_all, encode_all, evaluate
from evenface_training.loop import Trainer
from evenface_training.run_folder import RunFolder

ConfigMaker = Callable[..., TrainingConfig]


@pytest.fixture
def config(make_config: ConfigMaker, images: Path) -> TrainingConfig:
    """A conditional DB-VAE; `blue` is 1 for the rare faces, else 0; `odd` 1 or -1."""
    lines = (images / "labels.csv").read_text().splitlines()
    rows = [
        f"{line},{int(line.endswith('blue'))},{1 if number % 2 else -1}"
        for number, line in enumerate(lines[1:])
    ]
    (images / "labels.csv").write_text("\n".join([f"{lines[0]},blue,odd", *rows]) + "\n")
    return make_config(model={"conditions": ["blue", "odd"]})


def _trainer(config: TrainingConfig, run: RunFolder) -> Trainer:
    return Trainer(config, load_data(config), run, open_device(config))


def test_conditions_are_those_of_the_label_columns(config: TrainingConfig) -> None:
    data = load_data(config)
    blue = np.array(data.labels["tone"]) == "blue"
    np.testing.assert_array_equal(data.conditions[:, 0], blue)
    assert set(data.conditions[:, 1]) == {-1, 1}


def test_a_resumed_conditional_run_is_that_of_an_uninterrupted_one(
    config: TrainingConfig, tmp_path: Path
) -> None:
    whole = RunFolder.create(tmp_path / "whole")
    _trainer(config, whole).fit(lambda: False)
    whole.close()

    stopped = RunFolder.create(tmp_path / "stopped")
    steps = iter([False, False, False, True])
    with pytest.raises(KeyboardInterrupt):
        _trainer(config, stopped).fit(lambda: next(steps))
    stopped.close()
    resumed = RunFolder.open(tmp_path / "stopped")
    trainer = _trainer(config, resumed)
    trainer.restore(load_checkpoint(resumed.last))
    trainer.fit(lambda: False)
    resumed.close()

    ours, theirs = load_checkpoint(resumed.last), load_checkpoint(whole.last)
    assert "model.telling.weight" in ours.tensors
    for name, tensor in ours.tensors.items():
        assert torch.equal(tensor, theirs.tensors[name]), name


def test_both_halves_learn_from_the_conditions(config: TrainingConfig, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    trainer = _trainer(config, run)
    before = {
        k: v.clone() for k, v in trainer.checkpoint().tensors.items() if v.is_floating_point()
    }
    trainer.fit(lambda: False)
    run.close()
    after = load_checkpoint(run.last).tensors
    assert not torch.equal(before["model.telling.weight"], after["model.telling.weight"])
    first = "model.decoder.0.weight"
    assert (before[first] != after[first])[:, -2:].any(dim=0).all()


def test_an_encoder_that_is_never_told_learns_nothing_of_conditions(
    config: TrainingConfig, make_config: ConfigMaker, tmp_path: Path
) -> None:
    untold = make_config(model={"conditions": config.model.conditions, "untold_fraction": 1.0})
    run = RunFolder.create(tmp_path / "run")
    trainer = _trainer(untold, run)
    before = trainer.checkpoint().tensors["model.telling.weight"].clone()
    trainer.fit(lambda: False)
    run.close()
    assert torch.equal(load_checkpoint(run.last).tensors["model.telling.weight"], before)


def test_held_out_faces_are_decoded_with_their_conditions(
    config: TrainingConfig, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run")
    _trainer(config, run).fit(lambda: False)
    run.close()
    model, plain = load_model(run.last).model, load_data(config)
    data = replace(plain, conditions=200 * plain.conditions)  # so that they matter after 3 epochs
    rows = data.faces.validation
    latents = encode_all(model, data.faces.images, rows).mean
    assert latents is not None
    rebuilt = decode_all(model, latents, data.conditions[rows])
    error = np.abs(rebuilt.astype(float) - data.faces.images[rows]).mean() / 255
    assert evaluate(model, data, config.loss).figures["l1"] == pytest.approx(error, abs=0.002)
    assert abs(evaluate(model, plain, config.loss).figures["l1"] - error) > 0.01


def test_a_face_without_a_label_is_refused_by_name(config: TrainingConfig, images: Path) -> None:
    text = (images / "labels.csv").read_text()
    (images / "labels.csv").write_text(
        text.replace("face/001.png,plain,0,", "face/001.png,plain,,")
    )
    with pytest.raises(DataError, match=r"labels\.csv: column 'blue' of 001\.png is ''"):
        load_data(config)


def test_a_column_that_is_not_there_is_refused_by_name(
    config: TrainingConfig, make_config: ConfigMaker
) -> None:
    other = make_config(model={**config.model.model_dump(), "conditions": ["hat"]})
    with pytest.raises(DataError, match="no column 'hat'"):
        load_data(other)
