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
        precision = "bfloat16" if _is_fast_in_bfloat16(config.device) else "float32"
    try:
        return Fabric(accelerator=config.device, devices=1, precision=_PRECISIONS[precision])
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"device '{config.device}' is not available on this machine") from error


def memory_format(device: torch.device) -> torch.memory_format:
    """How images and weights of convolutions lie in memory where it is fastest."""
    known = device.type in ("cpu", "cuda")
    return torch.channels_last if known else torch.contiguous_format


def _is_fast_in_bfloat16(device: str) -> bool:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return True
    on_cpu = device == "cpu" or (device == "auto" and not torch.backends.mps.is_available())
    return on_cpu and bool(torch.cpu.get_capabilities().get("amx_bf16"))
