"""Every architecture: shapes, sizes that the articles' code adds up to, gradients; conditions."""

import pytest
import torch
from evenface_training.config import ModelConfig, load_config
from evenface_training.models import ARCHITECTURES, Conditions, FaceModel, build_model
from torch import Tensor

SIZES = {
    "lab": {"image_size": 32, "channels": 3},
    "mlp": {"image_size": 30, "channels": 1},
    "conv30": {"image_size": 30, "channels": 1},
    "vae112": {"image_size": 112, "channels": 3},
    "residual": {"image_size": 128, "channels": 3},
}


def _config(architecture: str, **values: object) -> ModelConfig:
    small = {"latent_size": 5, "n_filters": 4, "hidden_size": 8, "kind": "dbvae"}
    return ModelConfig.model_validate(
        {"architecture": architecture, **small, **SIZES[architecture], **values}
    )


def _images(config: ModelConfig, count: int) -> Tensor:
    shape = (count, config.channels, config.image_size, config.image_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def _weights(model: FaceModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_architecture_is_tested_here() -> None:
    assert {*SIZES, "colouring"} == set(ARCHITECTURES)  # that one: test_colorizer.py


@pytest.mark.parametrize("architecture", list(SIZES))
def test_an_architecture_gives_all_parts_in_their_shapes(architecture: str) -> None:
    config = _config(architecture)
    images = _images(config, 4)
    output = build_model(config, seed=0)(images, torch.zeros(2, 5))
    assert output.logit.shape == (4,)
    assert output.mean.shape == output.log_variance.shape == (4, 5)
    assert output.reconstruction.shape == images[:2].shape
    assert 0 <= output.reconstruction.min() <= output.reconstruction.max() <= 1


@pytest.mark.parametrize("architecture", list(SIZES))
def test_the_gradient_reaches_every_weight(architecture: str) -> None:
    config = _config(architecture, n_filters=10, conditions=("hat", "beard"))
    model = build_model(config, seed=0)
    told = torch.tensor([[1.0, -1.0]] * 4)
    output = model(_images(config, 4), torch.ones(4, 5), Conditions(told, told))
    total = output.logit.sum() + output.reconstruction.square().sum()
    (total + output.log_variance.square().sum()).backward()
    unmoved = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert unmoved == []


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # 461,312 + 49,248 + 2,425 + 2 · 260, and back: 275 + 2,496 + 49,664 + 461,700
        ("mlp-vae", 1_027_640),
        # 260 + 1,255 + 2 · 460, and back: 495 + 810 + 1,083 + 49
        ("conv-vae", 4_872),
        # The article's 2,053,523, but for the 192 offsets that batch norm takes away.
        ("vae112", 2_053_523 - 192),
    ],
)
def test_a_ready_made_model_has_as_many_weights_as_the_article_s_code(
    name: str, weights: int
) -> None:
    assert _weights(build_model(load_config(name).model, seed=0)) == weights


def test_small_images_of_dense_layers_may_have_any_size_and_colour() -> None:
    config = _config("mlp", image_size=17, channels=3)
    assert build_model(config, 0).decode(torch.zeros(2, 5)).shape == (2, 3, 17, 17)


@pytest.mark.parametrize("architecture", list(SIZES))
def test_conditions_change_images_and_latents_but_not_the_logit(architecture: str) -> None:
    config = _config(architecture, conditions=("hat", "beard"), n_filters=10)
    model = build_model(config, seed=0).eval()
    images, latents = _images(config, 2), torch.zeros(2, 5)
    told = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    plain, conditional = model.encode(images), model.encode(images, told)
    assert plain.mean is not None
    assert conditional.mean is not None
    torch.testing.assert_close(plain.mean[0], conditional.mean[0])
    assert not torch.allclose(plain.mean[1], conditional.mean[1])
    torch.testing.assert_close(plain.logit, conditional.logit)
    decoded = model.decode(latents, told)
    torch.testing.assert_close(decoded[0], model.decode(latents)[0])
    assert not torch.equal(decoded[0], decoded[1])


def test_only_faces_have_conditions_and_they_stand_first() -> None:
    config = _config("lab", conditions=("hat",))
    model = build_model(config, seed=0).eval()
    images, told = _images(config, 4), torch.ones(2, 1)
    plain, conditional = model.encode(images).mean, model.encode(images, told).mean
    assert plain is not None
    assert conditional is not None
    changed = (plain != conditional).any(dim=1)
    assert changed.tolist() == [True, True, False, False]


def test_the_decoder_is_told_what_the_encoder_may_not_be() -> None:
    config = _config("lab", conditions=("hat",))
    model = build_model(config, seed=0).eval()
    images, known = _images(config, 2), torch.ones(2, 1)
    output = model(images, torch.zeros(2, 5), Conditions(known, torch.zeros(2, 1)))
    mean = model.encode(images).mean
    torch.testing.assert_close(output.mean, mean)
    assert mean is not None
    torch.testing.assert_close(output.reconstruction, model.decode(mean, known))


def test_a_model_without_conditions_has_the_weights_that_it_had() -> None:
    names = set(build_model(_config("lab"), seed=0).state_dict())
    assert {name.partition(".")[0] for name in names} == {"encoder", "decoder"}
    assert {"encoder.0.weight", "encoder.13.weight", "encoder.15.bias"} <= names
    assert {"decoder.0.weight", "decoder.3.weight", "decoder.12.bias"} <= names
