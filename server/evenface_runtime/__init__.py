"""A bundle opened for use: arrays in, arrays out. Knows nothing of gRPC or asyncio."""

import os

# ONNX Runtime's wheels report on their use to their maker, and begin to when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from evenface_runtime.device import Device, GpuOptions, choose_device
from evenface_runtime.model import Model, open_model

__all__ = ["Device", "GpuOptions", "Model", "choose_device", "open_model"]
