import numpy as np
import pytest
from evenface_training.principal import PrincipalComponents, UInt8


def _smooth_images(count: int) -> UInt8:
    """Mixtures of twelve patterns, each weaker than the one before, and a little noise."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((12, 16 * 16 * 3)) * (0.6 ** np.arange(12))[:, None]
    mixed = rng.standard_normal((count, 12)) @ patterns + 0.05 * rng.standard_normal((count, 768))
    return (127 + 40 * mixed).clip(0, 255).astype(np.uint8).reshape(count, 16, 16, 3)


def test_components_reconstruct_as_well_as_a_singular_value_decomposition() -> None:
    images = _smooth_images(200)
    rows = np.arange(0, 200, 2)
    flat = images[rows].reshape(len(rows), -1) / 255.0
    centre = flat.mean(axis=0)
    basis = np.linalg.svd(flat - centre, full_matrices=False).Vh[:5]
    expected = (flat - centre) @ basis.T @ basis + centre
    found = PrincipalComponents.fit(images, rows, 5).reconstruct(images[rows])
    assert found.shape == images[rows].shape
    # 1 / 255 for rounding to levels and the clip.
    assert np.abs(found.reshape(len(rows), -1) / 255.0 - expected.clip(0, 1)).max() < 1.2 / 255


def test_components_are_orthonormal_and_at_most_one_less_than_the_images() -> None:
    images = _smooth_images(6)
    components = PrincipalComponents.fit(images, np.arange(6), 100).components
    assert components.shape == (768, 5)
    np.testing.assert_allclose(components.T @ components, np.eye(5), atol=1e-5)


def test_as_many_components_as_images_need_rebuild_them() -> None:
    images = _smooth_images(6)
    rebuilt = PrincipalComponents.fit(images, np.arange(6), 5).reconstruct(images)
    assert np.abs(rebuilt.astype(int) - images).max() <= 1


def test_variances_are_those_along_the_components_and_the_mean_of_the_rest() -> None:
    images = _smooth_images(100)
    flat = images.reshape(100, -1) / 255.0
    eigenvalues = np.linalg.svd(flat - flat.mean(axis=0)).S ** 2 / 100
    found = PrincipalComponents.fit(images, np.arange(100), 5)
    np.testing.assert_allclose(found.variances, eigenvalues[4::-1], rtol=1e-3)
    assert found.rest == pytest.approx(eigenvalues[5:].sum() / (768 - 5), rel=1e-3)


def test_images_and_their_mirror_images_may_count_alike() -> None:
    images = _smooth_images(40)
    both = np.concatenate([images, images[:, :, ::-1]])
    expected = PrincipalComponents.fit(both, np.arange(80), 6)
    found = PrincipalComponents.fit(images, np.arange(40), 6, mirrored=True)
    np.testing.assert_allclose(found.centre, expected.centre, atol=1e-6)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-3)
    difference = found.reconstruct(images).astype(int) - expected.reconstruct(images)
    assert np.abs(difference).max() <= 1


def test_images_may_be_averaged_over_squares_of_pixels_first() -> None:
    images = _smooth_images(40).repeat(2, axis=1).repeat(2, axis=2)
    expected = PrincipalComponents.fit(_smooth_images(40), np.arange(40), 4)
    found = PrincipalComponents.fit(images, np.arange(40), 4, pool=2)
    np.testing.assert_allclose(found.components, expected.components, atol=1e-5)
    assert found.rest == pytest.approx(expected.rest, rel=1e-3)
