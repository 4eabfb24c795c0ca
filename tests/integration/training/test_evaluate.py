"""Figures on held-out images, against the training loss and plain numpy."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from evenface_training.config import Kind, TrainingConfig
from evenface_training.data import TrainingData, load_data
from evenface_training.evaluate import (
    encode_all,
    evaluate,
    to_images,
    to_tensor,
)
from evenface_training.models import FaceModel, build_model
from evenface_training.objective import loss_terms, total_loss

ConfigMaker = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def _config(make_config: ConfigMaker, kind: Kind) -> TrainingConfig:
    only_faces: Mapping[str, object] = {"nonfaces": None} if kind == "vae" else {}
    return make_config(
        model={"kind": kind},
        data=only_faces,
        loss={"kl_weight": 0.01, "vae_weight": 3.0, "reconstruction": "mse"},
        resampling={"enabled": False},
    )


def _untrained(config: TrainingConfig) -> FaceModel:
    return build_model(config.model, seed=4).eval()


def _balanced(data: TrainingData) -> TrainingData:
    """As many held-out non-faces as faces."""
    if data.nonfaces is None:
        return data
    count = min(len(data.faces.validation), len(data.nonfaces.validation))
    return replace(
        data,
        faces=replace(data.faces, validation=data.faces.validation[:count]),
        nonfaces=replace(data.nonfaces, validation=data.nonfaces.validation[:count]),
    )


@pytest.mark.parametrize("kind", ["cnn", "vae", "dbvae"])
def test_the_validation_loss_is_the_training_loss_of_a_balanced_batch(
    make_config: ConfigMaker, kind: Kind
) -> None:
    config = _config(make_config, kind)
    data, model = _balanced(load_data(config)), _untrained(config)
    count = len(data.faces.validation)
    halves = [data.faces] if data.nonfaces is None else [data.faces, data.nonfaces]
    parts = [part.images[part.validation] for part in halves]
    images = to_tensor(np.concatenate(parts), CPU)
    eps = torch.zeros(count, config.model.latent_size)
    with torch.no_grad():
        loss = total_loss(loss_terms(model(images, eps), images, count, config.loss), config.loss)
    assert evaluate(model, data, config.loss).figures["loss"] == pytest.approx(loss.item(), 1e-5)


def test_groups_are_measured_one_by_one(make_config: ConfigMaker) -> None:
    config = _config(make_config, "dbvae")
    data, model = load_data(config), _untrained(config)
    evaluation = evaluate(model, data, config.loss)
    logit = encode_all(model, data.faces.images, data.faces.validation).logit
    assert logit is not None
    tones = np.array(data.labels["tone"])[data.faces.validation]
    assert evaluation.group_sizes == {f"tone={t}": int((tones == t).sum()) for t in set(tones)}
    assert evaluation.groups is not None
    assert evaluation.groups.at_half == {
        f"tone={t}": pytest.approx((logit[tones == t] >= 0).mean()) for t in set(tones)
    }
    others = data.nonfaces
    assert others is not None
    rejected = encode_all(model, others.images, others.validation).logit
    assert rejected is not None
    passing = {t: logit[tones == t] > rejected.max() for t in set(tones)}  # 1 % of so few is none
    assert evaluation.groups.at_one_percent == {f"tone={t}": p.mean() for t, p in passing.items()}


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    tensor = to_tensor(images, CPU)
    assert tensor.shape == (3, 3, 16, 16)
    assert tensor[1, 2, 3, 4].item() == pytest.approx(images[1, 3, 4, 2] / 255)
    np.testing.assert_array_equal(to_images(tensor), images)
