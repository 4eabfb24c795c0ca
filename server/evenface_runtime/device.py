"""Where sessions run: the GPU through CUDA where there is one, else the CPU."""

from typing import Literal

import onnxruntime as ort
from evenface_core.errors import ConfigError

Device = Literal["cpu", "cuda"]
DeviceChoice = Literal["auto", "cpu", "cuda"]

_PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def choose_device(choice: DeviceChoice) -> Device:
    """Settle on a device.

    Args:
        choice: "auto" takes CUDA where ONNX Runtime offers it, else the CPU.

    Returns:
        The device. That CUDA is offered does not prove that a GPU answers: opening a session does.

    Raises:
        ConfigError: "cuda" was asked for and this ONNX Runtime does not offer it.
    """
    offered = _PROVIDERS["cuda"] in ort.get_available_providers()
    if choice == "cuda" and not offered:
        raise ConfigError(
            "device: 'cuda' is not available: this ONNX Runtime offers "
            f"{', '.join(ort.get_available_providers())} (install the gpu extra on a CUDA machine)"
        )
    return "cuda" if offered and choice != "cpu" else "cpu"


def provider_of(device: Device) -> str:
    """Return ONNX Runtime's name of the execution provider of a device."""
    return _PROVIDERS[device]
