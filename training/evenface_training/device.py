"""Where a run computes, and how precisely."""

from collections.abc import Mapping
from typing import Literal

import torch
from evenface_core.errors import TrainingError
from lightning_fabric import Fabric

from evenface_training.config import TrainingConfig

_PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


def open_device(config: TrainingConfig) -> Fabric:
    """Take the device that a run asks for.

    Raises:
        TrainingError: This machine has no such device.
    """
    precision = config.precision
    if precision == "auto":
        on_cuda = config.device in ("auto", "cuda") and torch.cuda.is_available()
        precision = "bfloat16" if on_cuda else "float32"
    try:
        return Fabric(accelerator=config.device, devices=1, precision=_PRECISIONS[precision])
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"device '{config.device}' is not available on this machine") from error
