"""An exponential moving average of a model's weights: steadier than any single step."""

import copy

import torch

from evenface_training.models import FaceModel


class AveragedModel:
    """A copy of a model that follows it slowly.

    averaged <- d * averaged + (1 - d) * current, with d = min(decay, (1 + n) / (10 + n)) after n
    steps, so that the random first weights are soon forgotten (as in TensorFlow's
    ExponentialMovingAverage). With decay 0 the copy equals the model.

    Args:
        model: The model to follow, already on its device.
        decay: d, 0 to below 1.

    Attributes:
        model: The copy, always in eval mode. Batch-norm statistics are averaged like weights.
    """

    def __init__(self, model: FaceModel, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._decay = decay
        pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )
        self._smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the followed model's weights after a step.

        Args:
            step: Steps taken before it.
        """
        share = 1.0 - min(self._decay, (1 + step) / (10 + step))
        averaged, current = zip(*self._smooth, strict=True)
        torch._foreach_lerp_(averaged, current, share)
        for counter, source in self._counters:
            counter.copy_(source)
