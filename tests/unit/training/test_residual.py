"""The linear path beside the residual networks, and where it starts."""

import numpy as np
import pytest
import torch
from evenface_training.config import ModelConfig
from evenface_training.evaluate import decode_all, encode_all
from evenface_training.models import FaceModel, build_model
from evenface_training.principal import PrincipalComponents, UInt8
from pydantic import ValidationError

COUNT, LATENT = 60, 6


def _config(**values: object) -> ModelConfig:
    small = {"architecture": "residual", "image_size": 32, "latent_size": LATENT, "n_filters": 4}
    return ModelConfig.model_validate({**small, **values})


def _images(side: int = 32, channels: int = 3) -> UInt8:
    """Mixtures of ten patterns, each weaker than the one before, and a little noise."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((10, side * side * channels)) * 0.7 ** np.arange(10)[:, None]
    mixed = rng.standard_normal((COUNT, 10)) @ patterns
    noise = 0.1 * rng.standard_normal(mixed.shape)
    pixels = (127 + 30 * (mixed + noise)).clip(0, 255).astype(np.uint8)
    return pixels.reshape(COUNT, side, side, channels)


def _started(config: ModelConfig, images: UInt8) -> tuple[FaceModel, PrincipalComponents]:
    model, fitted = build_model(config, seed=0).eval(), []

    def fit(size: int, pool: int) -> PrincipalComponents:
        fitted.append(PrincipalComponents.fit(images, np.arange(len(images)), size, pool=pool))
        return fitted[0]

    model.start(fit)
    return model, fitted[0]


@pytest.mark.parametrize(("kind", "channels"), [("dbvae", 3), ("vae", 1)])
def test_a_started_model_rebuilds_what_principal_components_do(kind: str, channels: int) -> None:
    images = _images(channels=channels)
    model, components = _started(_config(kind=kind, channels=channels), images)
    mean = encode_all(model, images, np.arange(COUNT)).mean
    assert mean is not None
    difference = decode_all(model, mean).astype(int) - components.reconstruct(images)
    assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(mean.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(mean.std(axis=0), 1, rtol=1e-3)


def test_log_variances_start_as_the_share_of_what_is_left_out() -> None:
    images = _images()
    model, components = _started(_config(), images)
    found = encode_all(model, images, np.arange(3)).log_variance
    assert found is not None
    expected = np.log(components.rest / components.variances)
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-4)


def test_above_64_pixels_the_linear_path_rebuilds_the_smaller_image() -> None:
    images = _images(64).repeat(2, axis=1).repeat(2, axis=2)
    model, _ = _started(_config(image_size=128), images)
    mean = encode_all(model, images, np.arange(COUNT)).mean
    assert mean is not None
    rebuilt = decode_all(model, mean).reshape(COUNT, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    small = PrincipalComponents.fit(_images(64), np.arange(COUNT), LATENT).reconstruct(_images(64))
    # Enlarging by straight lines blurs a little.
    correlation = np.corrcoef(rebuilt.ravel(), small.ravel())[0, 1]
    assert correlation > 0.9


def test_fewer_images_than_latents_leave_the_last_latents_empty() -> None:
    images = _images()[:4]
    model, components = _started(_config(), images)
    assert len(components.variances) == 3
    mean = encode_all(model, images, np.arange(4)).mean
    assert mean is not None
    assert (mean[:, 3:] == 0).all()
    assert np.abs(decode_all(model, mean).astype(int) - images).max() <= 1


def test_the_linear_path_is_saved_but_not_trained() -> None:
    model, _ = _started(_config(), _images())
    fixed = {name for name in model.state_dict() if ".linear." in name}
    assert len(fixed) == 4
    assert not fixed & {name for name, _ in model.named_parameters()}


def test_a_conditional_decoder_hears_its_conditions_through_the_network_alone() -> None:
    model, _ = _started(_config(conditions=("hat",)), _images())
    latents, known = torch.zeros(2, LATENT), torch.tensor([[0.0], [1.0]])
    assert torch.equal(*model.decode(latents, known))


def test_architectures_without_a_linear_path_do_not_ask_for_components() -> None:
    def never(size: int, pool: int) -> PrincipalComponents:
        raise AssertionError((size, pool))

    for config in (_config(architecture="lab"), _config(kind="cnn")):
        model = build_model(config, seed=0)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.start(never)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name])


@pytest.mark.parametrize(("size", "multiple"), [(40, 16), (144, 32), (200, 48)])
def test_a_side_that_patches_do_not_fill_is_refused(size: int, multiple: int) -> None:
    with pytest.raises(ValidationError, match=rf"{size}: .* multiple of {multiple}"):
        _config(image_size=size)
