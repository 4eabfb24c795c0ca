"""Where sessions run, and how a GPU is used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnxruntime as ort
from evenface_core.errors import ConfigError

from evenface_runtime.cuda import load_cuda_runtime

Device = Literal["cpu", "cuda", "tensorrt"]
DeviceChoice = Literal["auto", "cpu", "cuda", "tensorrt"]

PROVIDERS: dict[Device, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True)
class GpuOptions:
    """How a GPU is used; the CPU takes none of it.

    Attributes:
        max_rows: Rows that run together at most, ≥ 1; more are run in parts.
        cuda_graphs: Capture the kernels of each bucket once and launch them as one from then on.
            For CUDA alone: TensorRT fuses kernels itself.
        memory_limit: Bytes that the sessions may take for weights and intermediate values, each
            of them; None for what there is. CUDA's own context comes on top.
        tf32: Let float32 products round their factors to 10 bits of mantissa, on tensor cores.
        tensorrt_cache: Folder for the engines that TensorRT builds; None to build them whenever a
            bundle is opened. Nobody else may be able to write there: engines are programs.
    """

    max_rows: int = 32
    cuda_graphs: bool = False
    memory_limit: int | None = None
    tf32: bool = False
    tensorrt_cache: Path | None = None


def choose_device(choice: DeviceChoice) -> Device:
    """Settle on a device.

    Args:
        choice: "auto" takes CUDA where ONNX Runtime offers it and a GPU answers, else the CPU.

    Raises:
        ConfigError: This ONNX Runtime does not offer the device, or no GPU answers.
    """
    offered = ort.get_available_providers()
    if choice == "auto":
        return "cuda" if PROVIDERS["cuda"] in offered and _gpu_answers() else "cpu"
    if PROVIDERS[choice] not in offered:
        raise ConfigError(
            f"device: '{choice}' is not available: this ONNX Runtime offers "
            f"{', '.join(offered)} (install the gpu extra on a CUDA machine)"
        )
    if choice != "cpu":
        load_cuda_runtime()
    return choice


def _gpu_answers() -> bool:
    try:
        load_cuda_runtime()
    except ConfigError:
        return False
    return True
