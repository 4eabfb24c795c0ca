"""Where a run computes, and how precisely."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import torch
from evenface_core.errors import TrainingError
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from evenface_training.config import TrainingConfig

_PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


_PATIENCE = timedelta(hours=6)


def open_device(config: TrainingConfig) -> Fabric:
    """Take the device that a run asks for, with the other processes that torchrun has started.

    Raises:
        TrainingError: This machine has no such device.
    """
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if _is_fast_in_bfloat16(config.device) else "float32"
    # What torchrun has started is one of several processes.
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    everywhere = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator=config.device,
            devices=here,
            num_nodes=everywhere // here,
            strategy=_several() if everywhere > 1 else "auto",
            precision=_PRECISIONS[precision],
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"device '{config.device}' is not available on this machine") from error
    return fabric


def is_first_process() -> bool:
    """Whether this is the only process of a run or, of those that torchrun has started, rank 0."""
    return os.environ.get("RANK", "0") == "0"


def _several() -> DDPStrategy:
    # Batch norms share their statistics themselves. A process that dies is noticed at once; the
    # limit is for one that waits while rank 0 decodes a million images.
    return DDPStrategy(forward_sync_buffers=False, timeout=_PATIENCE)


def memory_format(device: torch.device) -> torch.memory_format:
    """How images and weights of convolutions lie in memory where it is fastest."""
    known = device.type in ("cpu", "cuda")
    return torch.channels_last if known else torch.contiguous_format


def _is_fast_in_bfloat16(device: str) -> bool:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return True
    on_cpu = device == "cpu" or (device == "auto" and not torch.backends.mps.is_available())
    return on_cpu and bool(torch.cpu.get_capabilities().get("amx_bf16"))
