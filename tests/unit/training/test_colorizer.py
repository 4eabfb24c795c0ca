"""The colorizer: what it sees, what it is told off for, and which settings go together."""

import numpy as np
import pytest
import torch
from evenface_core.errors import ConfigError
from evenface_training.config import LossConfig, ModelConfig, load_config
from evenface_training.models import FaceModel, build_model
from evenface_training.models.colouring import luminance
from evenface_training.objective import loss_terms, total_loss
from PIL import Image
from torch import Tensor

SIZE = 20


@pytest.fixture
def model() -> FaceModel:
    config = ModelConfig.model_validate(
        {
            "kind": "colorizer",
            "architecture": "colouring",
            "image_size": SIZE,
            "n_filters": 4,
            "input_noise": 0.5,
        }
    )
    return build_model(config, seed=0).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_luminance_is_what_grey_models_see(images: Tensor) -> None:
    pixels = (images * 255).byte()
    ours = 255 * luminance(pixels / 255)[:, 0]
    for grey, image in zip(ours, pixels, strict=True):
        pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        assert np.abs(grey.numpy() - np.asarray(pillow)).max() <= 0.51


def test_it_sees_the_luminance_alone(model: FaceModel, images: Tensor) -> None:
    painted = model(images).reconstruction
    assert painted.shape == images.shape
    assert 0 <= painted.min() <= painted.max() <= 1
    grey = luminance(images).expand_as(images)
    torch.testing.assert_close(model(grey).reconstruction, painted)


def test_noise_is_added_to_what_it_sees(model: FaceModel, images: Tensor) -> None:
    eps = torch.randn(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    noisy = model(images, eps).reconstruction
    assert model.decoder is not None
    torch.testing.assert_close(noisy, model.decoder(luminance(images) + 0.5 * eps))
    assert model.config.noise_shape == (1, SIZE, SIZE)


def test_it_paints_images_of_any_size(model: FaceModel) -> None:
    assert model.decoder is not None
    assert model.decoder(torch.rand(2, 1, 33, 47)).shape == (2, 3, 33, 47)


def test_the_loss_is_that_of_colours_and_of_their_luminance(
    model: FaceModel, images: Tensor
) -> None:
    output = model(images)
    painted = output.reconstruction
    loss = LossConfig(reconstruction="mse", luminance_weight=3.0)
    terms = loss_terms(output, images, 3, loss)
    colours = (images - painted).square().mean()
    grey = (luminance(images) - luminance(painted)).square().mean()
    assert set(terms.means()) == {"reconstruction", "luminance"}
    torch.testing.assert_close(total_loss(terms, loss), colours + 3 * grey)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model.architecture=lab", "model.image_size=32"], "colorizer and architecture colouring"),
        (["model.kind=vae"], "kind colorizer and architecture colouring need each other"),
        (["model.channels=1"], "channels 1: kind colorizer learns from images in colour"),
        (["model.conditions=[hat]"], "conditions need latents, which kind colorizer lacks"),
        (["data.nonfaces=x"], "data.nonfaces has no use with model.kind colorizer"),
        (["resampling.enabled=true"], "resampling.rule lab needs latents, and colorizer has none"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(overrides: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_config("colorizer", overrides)
