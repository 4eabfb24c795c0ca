"""Which images each step of an epoch sees, and how rare faces come to be seen more often."""

from dataclasses import dataclass

import torch
from evenface_core.balance import balance
from evenface_core.errors import TrainingError
from evenface_core.resampling import Weights, weigh
from torch import Tensor

from evenface_training.config import ResamplingConfig
from evenface_training.data import Int64, TrainingData
from evenface_training.evaluate import Encodings, Float32


@dataclass(frozen=True)
class DrawWeights:
    """What images are drawn by, with replacement; None goes through them in random order.

    Attributes:
        faces: float64 [training faces].
        nonfaces: float64 [training non-faces].
    """

    faces: Tensor | None = None
    nonfaces: Tensor | None = None


@dataclass(frozen=True)
class EpochPlan:
    """The order of one epoch.

    Attributes:
        faces: int64 [steps, F]; positions among the training faces.
        nonfaces: int64 [steps, M]; positions among the training non-faces; M is 0 for a `vae`.
    """

    faces: Tensor
    nonfaces: Tensor

    @property
    def steps(self) -> int:
        """Steps in the epoch."""
        return len(self.faces)


def steps_per_epoch(faces: int, nonfaces: int, batch_size: int) -> int:
    """Steps until as many images have been drawn as there are, at least one."""
    return max(1, (faces + nonfaces) // batch_size)


def plan_epoch(
    faces: int,
    nonfaces: int,
    batch_size: int,
    weights: DrawWeights,
    generator: torch.Generator,
) -> EpochPlan:
    """Draw the order of an epoch; half of each batch are faces, as in the lab.

    Args:
        faces: Number of training faces.
        nonfaces: Number of training non-faces; 0 makes every batch all faces.
        batch_size: Images a step.
        weights: To draw them by.
        generator: Source of all randomness here.
    """
    steps = steps_per_epoch(faces, nonfaces, batch_size)
    nonfaces_a_step = batch_size // 2 if nonfaces else 0
    faces_a_step = batch_size - nonfaces_a_step
    chosen = _chosen(faces, steps * faces_a_step, weights.faces, generator)
    others = _chosen(nonfaces, steps * nonfaces_a_step, weights.nonfaces, generator)
    return EpochPlan(chosen.view(steps, faces_a_step), others.view(steps, nonfaces_a_step))


def nonface_weights(logit: Float32) -> Weights:
    """Weight non-faces by rule `hard` turned around: those that look like faces are the hard ones.

    Args:
        logit: float32 [N], their logits.
    """
    _, weights = weigh(-logit[:, None], rule="hard")
    return weights


def face_weights(
    encodings: Encodings, data: TrainingData, rows: Int64, config: ResamplingConfig
) -> Weights:
    """Weight faces by what a model says of them, or by their labels.

    Args:
        encodings: Of N faces.
        data: Has the labels of rule `groups`.
        rows: int64 [N], which of `data.faces.images` they are.
        config: Rule, bins, smoothing and tempering.

    Raises:
        TrainingError: Rule `groups`, and no face has a label.
    """
    least = config.min_effective_sample_size
    if config.group_column is not None:
        numbers = data.group_numbers(config.group_column, rows)
        if (numbers < 0).all():
            raise TrainingError(
                f"resampling.group_column {config.group_column}: no face has a value"
            )
        return balance(numbers, min_effective_sample_size=least)
    return rule_weights(encodings.mean, encodings.logit, config)


def rule_weights(mean: Float32 | None, logit: Float32 | None, config: ResamplingConfig) -> Weights:
    """Weight faces by a rule that reads latents or logits.

    Args:
        mean: float32 [N, L], the faces' latents.
        logit: float32 [N], their logits.
        config: Rule, bins, smoothing and tempering.
    """
    read = mean
    if config.reads == "logits":
        read = None if logit is None else logit[:, None]
    assert read is not None  # noqa: S101 - the configuration refuses rules that a kind lacks
    _, weights = weigh(
        read,
        bins=config.bins if config.reads == "latents" else None,
        rule=config.rule,
        smoothing=config.smoothing,
        min_effective_sample_size=config.min_effective_sample_size,
    )
    return weights


def weights_are_due(epoch: int, config: ResamplingConfig) -> bool:
    """Whether an epoch, counted from 0, begins with new weights."""
    since = epoch - config.warmup_epochs
    wanted = config.enabled or config.nonfaces == "hard"
    return wanted and since >= 0 and since % config.every == 0


def draw(weights: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """Draw items by weight with replacement, however many: torch.multinomial ends at 2^24.

    Args:
        weights: float64 [N], at least 0, not all 0.
        draws: How many.
        generator: Source of the randomness.

    Returns:
        int64 [draws].
    """
    reached = weights.cumsum(0)
    points = torch.rand(draws, dtype=torch.float64, generator=generator) * reached[-1]
    last = torch.nonzero(weights)[-1, 0]  # rounding must not draw beyond it
    return torch.searchsorted(reached, points, right=True).clamp(max=last)


def _chosen(count: int, draws: int, weights: Tensor | None, generator: torch.Generator) -> Tensor:
    if weights is None:
        return _shuffled(count, draws, generator)
    return draw(weights, draws, generator)


def _shuffled(count: int, draws: int, generator: torch.Generator) -> Tensor:
    """Go through all items in random order, as often as it takes for `draws`."""
    if draws == 0:
        return torch.empty(0, dtype=torch.int64)
    rounds = -(-draws // count)
    orders = [torch.randperm(count, generator=generator) for _ in range(rounds)]
    return torch.cat(orders)[:draws]
