import numpy as np
from evenface_export.baseline import PrincipalComponents
from evenface_export.sessions import UInt8


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
