"""The figures of quality against plain loops."""

import numpy as np
import pytest
import torch
from evenface_training import metrics
from torchmetrics.functional.image import structural_similarity_index_measure


def test_auc_counts_pairs_and_half_of_the_ties() -> None:
    rng = np.random.default_rng(0)
    faces, others = rng.integers(0, 6, 40).astype(float), rng.integers(-2, 4, 30).astype(float)
    pairs = [(f > o) + 0.5 * (f == o) for f in faces for o in others]
    assert metrics.auc(faces, others) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_accuracy_counts_both_kinds() -> None:
    assert metrics.accuracy(np.array([1.0, -1.0]), np.array([-2.0, -3.0])) == 0.75
    assert metrics.accuracy(np.array([1.0, -1.0]), np.array([-2.0, -3.0]), threshold=-1.5) == 1.0


def test_true_positive_rate_is_per_group() -> None:
    logits = np.array([1.0, -1.0, 2.0, 3.0])
    groups = {"a": np.array([True, True, False, False]), "b": np.array([False, False, True, True])}
    assert metrics.true_positive_rates(logits, groups) == {"a": 0.5, "b": 1.0}


def test_a_threshold_lets_at_most_its_share_of_the_non_faces_pass() -> None:
    others = np.arange(250, dtype=np.float32)
    threshold = metrics.threshold_at(others, 0.01)
    assert (others >= threshold).sum() == 2
    assert threshold == np.nextafter(np.float32(247), np.float32(np.inf))
    # Of ties, all stay outside.
    assert metrics.threshold_at(np.full(300, 1.5, np.float32), 0.01) > 1.5


def test_group_share_is_by_count_and_by_weight() -> None:
    weights = np.array([0.1, 0.2, 0.7])
    shares = metrics.group_shares(weights, {"rare": np.array([False, False, True])})
    assert shares["rare"] == pytest.approx((1 / 3, 0.7))


def test_psnr_is_per_image() -> None:
    images = torch.zeros(2, 3, 16, 16)
    rebuilt = torch.stack([torch.full((3, 16, 16), 0.1), torch.full((3, 16, 16), 0.01)])
    np.testing.assert_allclose(metrics.psnr(images, rebuilt).numpy(), [20.0, 40.0], rtol=1e-5)


def test_psnr_of_equal_images_is_a_number() -> None:
    images = torch.ones(2, 3, 16, 16)  # as a saturated sigmoid rebuilds white exactly
    assert metrics.psnr(images, images).tolist() == [100.0, 100.0]


def test_ssim_equals_a_plain_loop_over_windows() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(14, 15))
    y = np.clip(x + rng.normal(scale=0.2, size=x.shape), 0, 1)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(14 - 10):
        for left in range(15 - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = 0.01**2, 0.03**2
            values.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    found = metrics.ssim(torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None])
    assert found.item() == pytest.approx(float(np.mean(values)), abs=1e-9)


def test_ssim_is_torchmetrics_without_the_windows_beyond_the_border() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 3, 30, 30, generator=generator)
    rebuilt = (images + 0.2 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    _, everywhere = structural_similarity_index_measure(
        rebuilt, images, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = everywhere[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    torch.testing.assert_close(metrics.ssim(images, rebuilt), inside, atol=1e-5, rtol=0)
    assert (metrics.ssim(images, rebuilt) - everywhere.mean(dim=(1, 2, 3))).abs().max() > 1e-3


def test_ssim_of_equal_images_is_one() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(metrics.ssim(images, images).numpy(), [1.0, 1.0], rtol=1e-5)
