"""Batch norms whose statistics are those of the whole batch, though several processes share it."""

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn


def share_statistics(model: nn.Module, device: torch.device) -> None:
    """Make a model's batch norms see the batches of all processes.

    Torch's own SyncBatchNorm does so on a GPU alone; on a CPU it is `SharedBatchNorm`. Names of
    weights stay as they are.

    Args:
        model: Changed in place.
        device: Where it will run.
    """
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _shared(child, device))


def _shared(norm: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    shared = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    shared.load_state_dict(norm.state_dict())
    return shared


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm over all processes, each of which has as many images (Ioffe & Szegedy 2015)."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalise [N, C, H, W] by mean and variance over all processes' images and positions."""
        if not self.training:
            return super().forward(images)
        floats, processes = images.float(), distributed.get_world_size()
        variance, mean = torch.var_mean(floats, dim=(0, 2, 3), correction=0)
        # In float64, in which E[x²] − E[x]² loses nothing that counts.
        mean, variance = mean.double(), variance.double()
        stacked = torch.stack([mean, variance + mean.square()])
        moments: Tensor = _Sum.apply(stacked)  # type: ignore[no-untyped-call]
        mean, square = moments / processes
        variance = square - mean.square()
        self._remember(mean, variance, processes * images.numel() // images.shape[1])
        scale = torch.rsqrt(variance + self.eps).float() * self.weight
        offset = self.bias - mean.float() * scale
        normal: Tensor = floats * scale[:, None, None] + offset[:, None, None]
        return normal.to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, the variance without bias, as torch does."""
        share = cast("float", self.momentum)
        unbiased = variance * (count / max(1, count - 1))
        for running, found in ((self.running_mean, mean), (self.running_var, unbiased)):
            cast("Tensor", running).lerp_(found.float(), share)
        cast("Tensor", self.num_batches_tracked).add_(1)


class _Sum(torch.autograd.Function):
    """The sum over processes; so is the gradient, for each process has a loss of its own."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 - as above
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
