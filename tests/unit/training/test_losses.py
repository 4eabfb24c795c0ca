"""The losses against plain numpy, written from the formulas."""

import numpy as np
import pytest
import torch
from evenface_training import losses, metrics
from evenface_training.config import Kind, LossConfig, ModelConfig, Reconstruction, Reduction
from evenface_training.models import FaceModel, Output, build_model
from evenface_training.objective import loss_terms, total_loss
from numpy.typing import NDArray

Array = NDArray[np.float32]


def _random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _pixels(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.01, 0.99, (3, 3, 8, 8)).astype(np.float32)


def test_kl_divergence_equals_the_sum_written_out() -> None:
    mean, log_variance = _random(1, 4, 6), _random(2, 4, 6)
    expected = [
        sum(0.5 * (np.exp(v) + m * m - 1 - v) for m, v in zip(ms, vs, strict=True))
        for ms, vs in zip(mean, log_variance, strict=True)
    ]
    found = losses.kl_divergence(torch.from_numpy(mean), torch.from_numpy(log_variance))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_kl_divergence_equals_the_integral_of_the_definition() -> None:
    mean, log_variance = 0.7, -0.9
    sigma = np.exp(log_variance / 2)
    z = np.linspace(-12, 12, 200_001)
    log_q = -0.5 * ((z - mean) / sigma) ** 2 - np.log(sigma)
    log_p = -0.5 * z**2
    q = np.exp(log_q) / np.sqrt(2 * np.pi)
    expected = float((q * (log_q - log_p)).sum() * (z[1] - z[0]))
    found = losses.kl_divergence(torch.tensor([[mean]]), torch.tensor([[log_variance]]))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_kl_divergence_as_a_mean_does_not_depend_on_the_length_of_the_latent() -> None:
    mean, log_variance = torch.from_numpy(_random(1, 4, 6)), torch.from_numpy(_random(2, 4, 6))
    once = losses.kl_divergence(mean, log_variance, "mean")
    twice = losses.kl_divergence(mean.repeat(1, 2), log_variance.repeat(1, 2), "mean")
    torch.testing.assert_close(once, twice)
    torch.testing.assert_close(once, losses.kl_divergence(mean, log_variance) / 6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", ["l1", "mse", "bce"])
def test_reconstruction_error_is_the_mean_or_sum_over_all_pixels(
    kind: Reconstruction, reduction: Reduction
) -> None:
    image, rebuilt = _pixels(1), _pixels(2)
    by_kind = {
        "l1": np.abs(image - rebuilt),
        "mse": (image - rebuilt) ** 2,
        "bce": -(image * np.log(rebuilt) + (1 - image) * np.log(1 - rebuilt)),
    }
    found = losses.reconstruction_error(
        torch.from_numpy(image), torch.from_numpy(rebuilt), kind, reduction
    )
    expected = getattr(by_kind[kind], reduction)(axis=(1, 2, 3))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_classification_error_equals_the_cross_entropy_written_out() -> None:
    logit, is_face = _random(3, 5), np.array([1, 0, 1, 0, 0], np.float32)
    probability = 1 / (1 + np.exp(-logit))
    expected = -(is_face * np.log(probability) + (1 - is_face) * np.log(1 - probability))
    found = losses.classification_error(torch.from_numpy(logit), torch.from_numpy(is_face))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_dbvae_loss_is_the_mean_of_classification_plus_indicator_times_vae() -> None:
    classification, vae = _random(4, 6), _random(5, 6)
    is_face = np.array([1, 1, 0, 0, 0, 0])
    expected = (classification + is_face * vae).mean()
    found = losses.dbvae_loss(torch.from_numpy(classification), torch.from_numpy(vae[:2]))
    assert found.item() == pytest.approx(float(expected), rel=1e-5)


def _model() -> FaceModel:
    config = ModelConfig(kind="dbvae", image_size=32, latent_size=4, n_filters=2, hidden_size=8)
    return build_model(config, seed=0).eval()


def _loss(model: FaceModel, images: torch.Tensor, eps: torch.Tensor, faces: int) -> torch.Tensor:
    config = LossConfig(kl_weight=0.1)
    return total_loss(loss_terms(model(images, eps), images, faces, config), config)


def test_a_non_face_counts_in_the_classification_alone() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    output: Output = _model()(images, torch.zeros(2, 4))
    assert output.mean is not None
    terms = loss_terms(output, images, 2, LossConfig())
    gradient = torch.autograd.grad(total_loss(terms, LossConfig()), output.mean)[0]
    assert gradient[:2].abs().sum() > 0
    assert gradient[2:].abs().sum() == 0
    assert terms.classification is not None
    assert len(terms.classification) == 4


def test_decoding_faces_only_gives_the_gradient_of_decoding_all_and_masking() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    eps = torch.randn(4, 4, generator=torch.Generator().manual_seed(2))
    ours, masked = _model(), _model()
    _loss(ours, images, eps[:2], faces=2).backward()  # type: ignore[no-untyped-call]

    output: Output = masked(images, eps)
    assert output.logit is not None
    assert output.mean is not None
    assert output.log_variance is not None
    assert output.reconstruction is not None
    is_face = torch.tensor([1.0, 1.0, 0.0, 0.0])
    vae = 0.1 * losses.kl_divergence(output.mean, output.log_variance)
    vae = vae + (images - output.reconstruction).abs().mean(dim=(1, 2, 3))
    classification = losses.classification_error(output.logit, is_face)
    (classification + is_face * vae).mean().backward()  # type: ignore[no-untyped-call]

    for name, parameter in ours.named_parameters():
        other = masked.get_parameter(name).grad
        assert parameter.grad is not None
        assert other is not None
        torch.testing.assert_close(parameter.grad, other, msg=name)


def test_the_terms_are_reduced_as_configured() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    output: Output = _model()(images, torch.zeros(2, 4))
    usual = loss_terms(output, images, 2, LossConfig())
    config = LossConfig(reconstruction_reduction="sum", kl_reduction="mean")
    other = loss_terms(output, images, 2, config)
    for term in (usual, other):
        assert term.kl is not None
        assert term.reconstruction is not None
    torch.testing.assert_close(other.kl, usual.kl / 4)  # type: ignore[operator]
    torch.testing.assert_close(other.reconstruction, usual.reconstruction * images[0].numel())  # type: ignore[operator]


def test_the_vae_weight_multiplies_the_vae_term_of_a_dbvae_alone() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    terms = loss_terms(_model()(images, torch.zeros(2, 4)), images, 2, LossConfig())
    plain = total_loss(terms, LossConfig()).item()
    heavy = total_loss(terms, LossConfig(vae_weight=10)).item()
    assert terms.classification is not None
    classification = terms.classification.mean().item()
    assert heavy - classification == pytest.approx(10 * (plain - classification), rel=1e-5)


def test_free_bits_are_the_largest_of_b_and_the_mean_of_each_dimension() -> None:
    mean, log_variance = _random(1, 5, 6), _random(2, 5, 6)
    mean[:, 3:], log_variance[:, 3:] = 0.01, 0.0  # three dimensions that say next to nothing
    terms = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance)
    for bits in (0.0, 0.05, 0.4):
        expected = np.maximum(terms.mean(axis=0), bits).sum()
        found = losses.kl_divergence(
            torch.from_numpy(mean), torch.from_numpy(log_variance), free_bits=bits
        )
        assert found.shape == (5,)
        assert found.mean().item() == pytest.approx(expected, rel=1e-5)


def test_free_bits_push_no_dimension_that_says_less_and_others_as_before() -> None:
    mean, log_variance = torch.from_numpy(_random(1, 5, 4)), torch.from_numpy(_random(2, 5, 4))
    mean[:, 2:], log_variance[:, 2:] = 0.1, -0.1
    for tensor in (mean, log_variance):
        tensor.requires_grad_()
    total = losses.kl_divergence(mean, log_variance, free_bits=0.2).sum()
    of_mean, of_log_variance = torch.autograd.grad(total, (mean, log_variance))
    torch.testing.assert_close(of_mean[:, :2], mean.detach()[:, :2])
    assert (of_mean[:, 2:] == 0).all()
    assert (of_log_variance[:, 2:] == 0).all()


def test_dissimilarity_is_what_ssim_lacks_and_pulls_an_image_towards_its_original() -> None:
    image = torch.rand((2, 3, 24, 20), generator=torch.Generator().manual_seed(1))
    blurred = (image.roll(1, -1) + image + image.roll(-1, -1)) / 3
    assert losses.structural_dissimilarity(image, image).abs().max() < 1e-6
    blurred.requires_grad_()
    before = losses.structural_dissimilarity(image, blurred)
    torch.testing.assert_close(before, 1 - metrics.ssim(image, blurred))
    (gradient,) = torch.autograd.grad(before.sum(), blurred)
    after = losses.structural_dissimilarity(image, blurred - gradient)
    assert (after < before).all()


@pytest.mark.parametrize("kind", ["vae", "dbvae"])
def test_dissimilarity_joins_the_loss_with_its_weight_and_only_if_it_has_one(kind: Kind) -> None:
    model = build_model(ModelConfig(kind=kind, image_size=16, latent_size=3, n_filters=2), seed=0)
    images = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    faces = 4 if kind == "vae" else 2
    output = model(images, torch.zeros(faces, 3))
    plain = LossConfig(reconstruction="mse", vae_weight=3)
    weighted = plain.model_copy(update={"ssim_weight": 0.5})
    without, terms = (loss_terms(output, images, faces, config) for config in (plain, weighted))
    assert without.dissimilarity is None
    assert terms.dissimilarity is not None
    share = 0.5 * terms.dissimilarity.mean() * (1 if kind == "vae" else 3 * faces / 4)
    torch.testing.assert_close(total_loss(terms, weighted), total_loss(without, plain) + share)


def test_a_share_of_the_kl_term_s_weight_counts_that_share() -> None:
    model = build_model(ModelConfig(kind="vae", image_size=16, latent_size=3, n_filters=2), seed=0)
    images = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    config = LossConfig(kl_weight=0.1)
    terms = loss_terms(model(images, torch.zeros(4, 3)), images, 4, config)
    assert terms.kl is not None
    whole, none = total_loss(terms, config), total_loss(terms, config, 0.0)
    torch.testing.assert_close(whole - none, 0.1 * terms.kl.mean())
    torch.testing.assert_close(total_loss(terms, config, 0.5), (whole + none) / 2)
