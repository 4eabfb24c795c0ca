"""What the training benchmarks ran on."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import torch


def describe() -> dict[str, object]:
    """CPU, cores and versions as JSON values."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "amx": bool(torch.cpu.get_capabilities().get("amx_bf16")),
        "torch": importlib.metadata.version("torch"),
    }
