"""Whole runs of the residual architecture: where they start, going on, and the loss."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from evenface_training.checkpoint import load_checkpoint, load_model
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.device import open_device
from evenface_training.evaluate import decode_all, encode_all, to_tensor
from evenface_training.loop import Trainer
from evenface_training.models import build_model
from evenface_training.principal import PrincipalComponents
from evenface_training.run_folder import RunFolder
from evenface_training.step import Objective

ConfigMaker = Callable[..., TrainingConfig]

LOSS = {"reconstruction": "mse", "ssim_weight": 0.1, "kl_warmup_epochs": 2, "free_bits": 0.5}


@pytest.fixture
def config(make_config: ConfigMaker) -> TrainingConfig:
    """Three epochs of three steps."""
    model = {"architecture": "residual", "latent_size": 4}
    return make_config(model=model, loss={**LOSS, "kl_weight": 0.01, "vae_weight": 5})


def _trainer(config: TrainingConfig, run: RunFolder) -> Trainer:
    return Trainer(config, load_data(config), run, open_device(config))


def _stop_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) == 0


def _train(config: TrainingConfig, path: Path) -> RunFolder:
    run = RunFolder.create(path)
    _trainer(config, run).fit(lambda: False)
    run.close()
    return run


def test_a_run_starts_as_the_principal_components_of_the_training_faces(
    config: TrainingConfig, tmp_path: Path
) -> None:
    # So small a rate that nothing is learned.
    optimizer = config.optimizer.model_copy(update={"learning_rate": 1e-12, "epochs": 2})
    run = _train(config.model_copy(update={"optimizer": optimizer}), tmp_path / "run")
    faces = load_data(config).faces
    components = PrincipalComponents.fit(faces.images, faces.train, 4, mirrored=True)
    for path in (run.best, run.last):
        model = load_model(path).model
        mean = encode_all(model, faces.images, faces.validation).mean
        assert mean is not None
        expected = components.reconstruct(faces.images[faces.validation]).astype(int)
        assert np.abs(decode_all(model, mean) - expected).max() <= 1


def test_a_resumed_run_goes_on_from_the_same_start(config: TrainingConfig, tmp_path: Path) -> None:
    whole = _train(config, tmp_path / "whole")
    run = RunFolder.create(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        _trainer(config, run).fit(_stop_after(4))
    run.close()
    resumed = RunFolder.open(run.path)
    trainer = _trainer(config, resumed)
    trainer.restore(load_checkpoint(resumed.last))
    trainer.fit(lambda: False)
    resumed.close()
    ours, theirs = load_checkpoint(resumed.last).tensors, load_checkpoint(whole.last).tensors
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def test_the_loss_is_made_of_its_terms_and_the_kl_term_s_weight_rises(
    config: TrainingConfig, tmp_path: Path
) -> None:
    records = _train(config, tmp_path / "run").records()
    steps = [record for record in records if record["kind"] == "step"]
    shares = []
    for step in steps:
        others = step["reconstruction"] + 0.1 * step["dissimilarity"]
        kl = (step["loss"] - step["classification"]) / (5 / 2) - others
        shares.append(kl / (0.01 * step["kl"]))
        assert step["kl"] >= 4 * 0.5 - 1e-6
    expected = [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1]
    np.testing.assert_allclose(shares, expected, atol=1e-2)
    validation = [record["validation"] for record in records if record["kind"] == "epoch"]
    for figures in validation:
        vae = 0.01 * figures["kl"] + figures["reconstruction"] + 0.1 * figures["dissimilarity"]
        assert figures["loss"] == pytest.approx(figures["classification"] + 5 * vae / 2, rel=1e-5)
        assert figures["dissimilarity"] == pytest.approx(1 - figures["ssim"], abs=1e-6)


def test_a_network_in_bfloat16_leaves_the_loss_precise(config: TrainingConfig) -> None:
    faces = load_data(config).faces
    images = to_tensor(faces.images[faces.train][:8], torch.device("cpu"))
    eps, found = torch.zeros(8, 4), {}
    for precision in ("float32", "bfloat16"):
        fabric = open_device(config.model_copy(update={"precision": precision}))
        objective = Objective(build_model(config.model, seed=0), config.loss)
        with torch.no_grad():
            figures = fabric.setup(objective)(images, 8, eps, None)[1]
        found[precision] = dict(zip(objective.names, figures.tolist(), strict=True))
    assert found["bfloat16"]["dissimilarity"] == pytest.approx(
        found["float32"]["dissimilarity"], abs=0.005
    )
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.05)
