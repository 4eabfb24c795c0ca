"""Random changes to a batch: what each does, how far it goes, and what it leaves alone."""

import kornia.enhance
import pytest
import torch
from evenface_core.config import parse
from evenface_core.errors import ConfigError
from evenface_training.augmentation import augment
from evenface_training.config import AugmentationConfig, TrainingConfig
from evenface_training.draws import Draws
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114])


def changed(images: Tensor, seed: int = 0, /, **values: float) -> Tensor:
    draws = Draws.of_all(torch.Generator().manual_seed(seed), len(images))
    return augment(images, AugmentationConfig(**values), draws)


def noise_images(count: int = 64, channels: int = 3) -> Tensor:
    """Far enough from black and white that no change is clipped."""
    generator = torch.Generator().manual_seed(1)
    return 0.4 + 0.2 * torch.rand(count, channels, 16, 16, generator=generator)


def discs(count: int, radius: float, right: float = 0.0) -> Tensor:
    """White discs on black, 64 × 64, some pixels right of the middle."""
    at = torch.arange(64) - 31.5
    inside = (at[:, None].square() + (at[None] - right).square()).sqrt() < radius
    return inside.float().expand(count, 3, -1, -1)


def centres(images: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of the light of each image, right and down from the middle, pixels."""
    at = torch.arange(64) - 31.5
    mass = images[:, 0].sum(dim=(1, 2))
    return (images[:, 0].sum(dim=1) @ at) / mass, (images[:, 0].sum(dim=2) @ at) / mass


def test_nothing_is_done_unless_asked_for() -> None:
    images = noise_images()
    assert changed(images) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_at_once_gives_images_and_leaves_the_originals(channels: int) -> None:
    images = torch.rand(32, channels, 30, 30)
    before = images.clone()
    values: dict[str, float] = {
        **AugmentationConfig.model_validate("standard").model_dump(),
        "jpeg": 0.5,
    }
    result = changed(images, **values)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert 0 <= result.min() < result.max() <= 1
    assert torch.equal(images, before)
    assert (result != images).any(dim=(1, 2, 3)).all()


def test_the_generator_alone_decides() -> None:
    images = noise_images()
    values: dict[str, float] = {"flip": 0.5, "shift": 0.1, "hue": 20.0, "noise": 0.1, "jpeg": 0.5}
    torch.manual_seed(5)
    first = changed(images, **values)
    torch.manual_seed(6)
    assert torch.equal(changed(images, **values), first)
    assert not torch.equal(changed(images, 1, **values), first)


def test_the_share_of_mirrored_images_is_as_asked() -> None:
    images = noise_images(400)
    assert torch.equal(changed(images, flip=1.0), images.flip(-1))
    mirrored = (changed(images, flip=0.25) == images.flip(-1)).all(dim=(1, 2, 3))
    assert 70 <= mirrored.sum() <= 130


def test_shift_goes_as_far_as_its_share_of_the_side_to_all_sides() -> None:
    right, down = centres(changed(discs(400, 8), shift=0.25))
    for moved in (right, down):
        assert -16.1 < moved.min() < -15
        assert 15 < moved.max() < 16.1
    assert abs(torch.corrcoef(torch.stack([right, down]))[0, 1]) < 0.2


def test_rotation_turns_to_either_side_by_no_more_than_asked() -> None:
    right, down = centres(changed(discs(200, 6, right=18), rotation=30.0))
    degrees = torch.rad2deg(torch.atan2(down, right))
    assert -30.5 < degrees.min() < -27
    assert 27 < degrees.max() < 30.5
    torch.testing.assert_close(torch.hypot(right, down), torch.full((200,), 18.0), atol=0.3, rtol=0)


def test_scale_enlarges_and_shrinks_alike() -> None:
    images = discs(200, 10)
    area = changed(images, scale=0.5).sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
    sides = area.sqrt()
    assert 0.66 < sides.min() < 0.70
    assert 1.43 < sides.max() < 1.51
    assert 0.9 < sides.median() < 1.1


def test_brightness_multiplies_as_kornia_does() -> None:
    images = noise_images()
    result = changed(images, brightness=0.5)
    factors = (result / images).mean(dim=(1, 2, 3))
    assert 0.5 < factors.min() < 0.6
    assert 1.4 < factors.max() < 1.5
    expected = kornia.enhance.adjust_brightness_accumulative(images, factors)
    torch.testing.assert_close(result, expected)


def test_contrast_stretches_about_the_mean_as_kornia_does() -> None:
    grey = noise_images(channels=1).expand(-1, 3, -1, -1)
    result = changed(grey, contrast=0.5)
    factors = result.std(dim=(1, 2, 3)) / grey.std(dim=(1, 2, 3))
    assert 0.5 < factors.min() < 0.6
    assert 1.4 < factors.max() < 1.5
    expected = kornia.enhance.adjust_contrast_with_mean_subtraction(grey, factors)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)  # its luma adds up to 0.9999


def test_saturation_moves_away_from_grey_as_kornia_does() -> None:
    images = noise_images()
    result = changed(images, saturation=0.5)
    grey = torch.einsum("c,nchw->nhw", LUMA, images)[:, None]
    factors = (result - grey).std(dim=(1, 2, 3)) / (images - grey).std(dim=(1, 2, 3))
    assert 0.5 < factors.min() < 0.6
    assert 1.4 < factors.max() < 1.5
    expected = kornia.enhance.adjust_saturation_with_gray_subtraction(images, factors)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)


def test_hue_turns_colours_by_no_more_than_asked_and_keeps_luma_and_grey() -> None:
    red = torch.tensor([0.6, 0.4, 0.4])[:, None, None].expand(200, 3, 4, 4)
    result = changed(red, hue=30.0)
    torch.testing.assert_close(
        torch.einsum("c,nchw->nhw", LUMA, result), (LUMA @ red[0, :, 0, 0]).expand(200, 4, 4)
    )
    to_yiq = torch.tensor([[0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    before, after = (to_yiq @ colors[:, :, 0, 0].T for colors in (red, result))
    turned = torch.rad2deg(torch.atan2(after[1], after[0]) - torch.atan2(before[1], before[0]))
    assert -30.1 < turned.min() < -27
    assert 27 < turned.max() < 30.1
    grey = torch.full((8, 3, 4, 4), 0.3)
    torch.testing.assert_close(changed(grey, hue=180.0, saturation=1.0), grey)


def test_noise_has_another_strength_in_each_image_up_to_the_limit() -> None:
    images = torch.full((200, 3, 32, 32), 0.5)
    added = changed(images, noise=0.1) - images
    sigma = added.std(dim=(1, 2, 3))
    assert sigma.min() < 0.005
    assert 0.09 < sigma.max() < 0.105
    assert abs(added.mean()) < 1e-3


def test_jpeg_compresses_the_share_asked_for_and_leaves_the_others() -> None:
    images = noise_images(200)
    result = changed(images, jpeg=0.5)
    touched = (result != images).any(dim=(1, 2, 3))
    assert 70 <= touched.sum() <= 130
    off = (result - images)[touched].abs().mean(dim=(1, 2, 3))
    assert off.min() > 0.001  # of noise, which JPEG cannot keep
    assert off.max() < 0.1


def test_runs_of_before_mirror_as_they_did() -> None:
    values = {"name": "old", "model": {"kind": "vae"}, "data": {"faces": "f"}}
    old = {**values, "data": {"faces": "f", "horizontal_flip": True}}
    config = parse(TrainingConfig, old, source="config.yaml")
    assert config.augmentation == AugmentationConfig(flip=0.5)
    off = {**values, "data": {"faces": "f", "horizontal_flip": False}}
    assert parse(TrainingConfig, off, source="config.yaml").augmentation == AugmentationConfig()
    images = noise_images(50)
    drawn = torch.rand(50, generator=torch.Generator().manual_seed(3)) < 0.5
    draws = Draws.of_all(torch.Generator().manual_seed(3), len(images))
    result = augment(images, config.augmentation, draws)
    assert torch.equal((result != images).any(dim=(1, 2, 3)), drawn)
    with pytest.raises(ConfigError, match=r"data\.horizontal_flip is augmentation.flip now"):
        parse(TrainingConfig, {**old, "augmentation": {"flip": 0.1}}, source="config.yaml")


def test_a_name_that_is_no_set_is_answered_with_the_one_there_is() -> None:
    with pytest.raises(ConfigError, match=r"'augmentation' is 'strong': give standard, or values"):
        parse(TrainingConfig, {"name": "a", "augmentation": "strong"}, source="x")
