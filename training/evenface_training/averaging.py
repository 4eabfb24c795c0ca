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

    @torch.no_grad()
    def update(self, current: FaceModel, step: int) -> None:
        """Take in the weights after a step.

        Args:
            current: The model that is followed.
            step: Steps taken so far.
        """
        share = 1.0 - min(self._decay, (1 + step) / (10 + step))
        source = current.state_dict()
        for name, averaged in self.model.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(source[name], share)
            else:
                averaged.copy_(source[name])
