import numpy as np
import pytest
import torch
from evenface_core.resampling import LatentHistogram, weigh
from evenface_training.config import ResamplingConfig
from evenface_training.sampler import (
    DrawWeights,
    draw,
    nonface_weights,
    plan_epoch,
    rule_weights,
    weights_are_due,
)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_half_of_each_batch_are_faces() -> None:
    plan = plan_epoch(20, 40, 10, DrawWeights(), _generator())
    assert plan.faces.shape == (6, 5)
    assert plan.nonfaces.shape == (6, 5)


def test_without_weights_every_face_comes_before_any_comes_twice() -> None:
    plan = plan_epoch(20, 40, 10, DrawWeights(), _generator())
    drawn = plan.faces.flatten()
    assert sorted(drawn[:20].tolist()) == list(range(20))
    assert len(set(drawn[20:].tolist())) == 10


def test_a_vae_sees_faces_alone() -> None:
    plan = plan_epoch(20, 0, 10, DrawWeights(), _generator())
    assert plan.faces.shape == (2, 10)
    assert plan.nonfaces.shape == (2, 0)


def test_faces_are_drawn_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=torch.float64)
    plan = plan_epoch(4, 4000, 4, DrawWeights(weights), _generator())
    share = (plan.faces == 0).double().mean().item()
    assert abs(share - 0.7) < 0.04  # four standard deviations of 2002 draws


def test_items_are_drawn_by_weight_beyond_the_end_of_multinomial() -> None:
    weights = torch.zeros(2**24 + 5, dtype=torch.float64)
    weights[[3, -2]] = torch.tensor([1.0, 3.0], dtype=torch.float64)
    drawn = draw(weights, 4000, _generator())
    assert set(drawn.tolist()) == {3, len(weights) - 2}
    assert abs((drawn == 3).double().mean().item() - 0.25) < 0.03  # four standard deviations


def test_a_planted_rare_group_gains_weight() -> None:
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(400, 8)).astype(np.float32)
    rare = np.arange(400) < 10
    latents[rare, 2] += 9
    weights = rule_weights(latents, None, ResamplingConfig(enabled=True))
    assert weights.values[rare].sum() > 3 * rare.mean()


@pytest.mark.parametrize("change", [{"rule": "paper"}, {"bins": 5}, {"smoothing": 0.1}])
def test_weights_follow_the_configuration(change: dict[str, str | float]) -> None:
    latents = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    config = ResamplingConfig.model_validate(change)
    expected = LatentHistogram.from_latents(latents, config.bins).weights(
        latents, config.rule, smoothing=config.smoothing
    )
    found = rule_weights(latents, None, config).values
    np.testing.assert_array_equal(found, expected.values)
    assert not np.allclose(found, rule_weights(latents, None, ResamplingConfig()).values)


def test_weights_are_tempered_as_configured() -> None:
    latents = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    config = ResamplingConfig(rule="paper", min_effective_sample_size=0.5)
    assert rule_weights(latents, None, config).effective_sample_size == pytest.approx(200, rel=1e-3)


def test_the_hard_rule_weighs_faces_by_their_logits() -> None:
    logits = np.random.default_rng(0).normal(size=400).astype(np.float32)
    found = rule_weights(None, logits, ResamplingConfig(rule="hard")).values
    _, expected = weigh(logits[:, None], rule="hard")
    np.testing.assert_array_equal(found, expected.values)
    assert found.argmax() == logits.argmin()


def test_non_faces_that_look_like_faces_are_the_hard_ones() -> None:
    logits = np.random.default_rng(0).normal(size=400).astype(np.float32)
    found = nonface_weights(logits).values
    assert found.argmax() == logits.argmax()
    assert found.argmin() == logits.argmin()
    np.testing.assert_array_equal(found, weigh(-logits[:, None], rule="hard")[1].values)


def test_non_faces_are_drawn_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([0.1, 0.7, 0.1, 0.1], dtype=torch.float64)
    plan = plan_epoch(4000, 4, 4, DrawWeights(nonfaces=weights), _generator())
    assert abs((plan.nonfaces == 1).double().mean().item() - 0.7) < 0.04  # as above
    assert len(np.unique(plan.faces)) == plan.faces.numel()  # of faces none comes twice


def test_weights_come_after_the_warm_up_and_then_every_so_often() -> None:
    config = ResamplingConfig(enabled=True, warmup_epochs=2, every=3)
    assert [epoch for epoch in range(10) if weights_are_due(epoch, config)] == [2, 5, 8]
    assert not any(weights_are_due(epoch, ResamplingConfig()) for epoch in range(10))
    of_nonfaces = ResamplingConfig(nonfaces="hard", warmup_epochs=2, every=3)
    assert [epoch for epoch in range(10) if weights_are_due(epoch, of_nonfaces)] == [2, 5, 8]
