"""A bundle opened for use: arrays in, arrays out. Knows nothing of gRPC or asyncio."""

from evenface_runtime.device import Device, GpuOptions, choose_device
from evenface_runtime.model import Model, open_model

__all__ = ["Device", "GpuOptions", "Model", "choose_device", "open_model"]
