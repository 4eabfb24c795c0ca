"""The degraded copy of a test set."""

import numpy as np
from evenface_training.degradation import degrade
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]


def _images(count: int = 64, size: int = 64) -> UInt8:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def test_an_images_copy_does_not_depend_on_its_neighbours() -> None:
    images = _images()
    copies = degrade(images)
    np.testing.assert_array_equal(degrade(images[[5]]), copies[[5]])
    np.testing.assert_array_equal(degrade(images[::-1]), copies[::-1])


def test_another_seed_gives_another_copy_of_every_image() -> None:
    images = _images()
    changed = (degrade(images, 0) != degrade(images, 1)).any(axis=(1, 2, 3))
    assert changed.all()


def test_light_falls_to_between_a_quarter_and_four_fifths() -> None:
    grey = np.tile(np.arange(100, 200, dtype=np.uint8)[:, None, None, None], (1, 32, 32, 3))
    light = degrade(grey).mean(axis=(1, 2, 3)) / np.arange(100, 200)
    assert 0.24 < light.min() < 0.30
    assert 0.75 < light.max() < 0.81


def test_noise_has_a_sigma_of_six_levels() -> None:
    grey = np.full((1, 256, 256, 3), 200, np.uint8)
    assert abs(degrade(grey).std() - 6.0) < 0.1


def test_contrast_falls_by_no_more_than_to_three_fifths() -> None:
    checks = (np.indices((64, 64)).sum(axis=0) // 8 % 2 * 200 + 20).astype(np.uint8)
    images = np.stack([np.roll(checks, n, axis=1) for n in range(16)])[..., None]
    stretch = [np.sqrt(copy.var() - 36) / copy.mean() for copy in degrade(images).astype(float)]
    before = checks.std() / checks.mean()
    assert 0.58 * before < min(stretch) < 0.75 * before
    assert 0.9 * before < max(stretch) < 1.02 * before


def test_the_picture_moves_by_up_to_a_sixteenth_of_its_side() -> None:
    images = np.full((200, 64, 64, 1), 250, np.uint8)
    images[:, 32, 32] = 0
    images[:, 0, 0, 0] = np.arange(200)  # so that no two are alike
    copies = degrade(images).reshape(200, -1)
    rows, columns = np.divmod(copies.reshape(200, 64, 64)[:, 8:, 8:].reshape(200, -1).argmin(1), 56)
    for offset in (rows + 8 - 32, columns + 8 - 32):
        assert (offset.min(), offset.max()) == (-4, 4)
