"""Memory that stays in its place, for runs that want the same addresses each time."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from evenface_core.manifest import TensorSpec
from numpy.typing import NDArray

from evenface_runtime.cuda import load_cuda_runtime

Array = NDArray[Any]


@dataclass(frozen=True)
class Memory:
    """Where buffers lie.

    Attributes:
        allocate: Gives so many bytes on the host, uint8, all zero.
        copy: Copies (to an address, from an address, so many bytes) between host and device.
        device: ONNX Runtime's name of the device.
    """

    allocate: Callable[[int], NDArray[np.uint8]]
    copy: Callable[[int, int, int], object]
    device: str


def plain_memory() -> Memory:
    """Ordinary memory, with the CPU as the device."""
    return Memory(lambda size: np.zeros(size, np.uint8), ctypes.memmove, "cpu")


def cuda_memory() -> Memory:
    """Page-locked memory beside a GPU.

    Raises:
        ConfigError: No GPU can be used.
    """
    runtime = load_cuda_runtime()
    return Memory(runtime.page_locked, runtime.copy, "cuda")


class Buffer:
    """Room for one input or output: on the host and, if wanted, on the device too.

    Args:
        spec: The tensor.
        rows: Rows that there is room for.
        memory: Where.
        on_device: Whether sessions use the device's side. Else they use the host's, and copy it
            themselves while they run.
    """

    def __init__(self, spec: TensorSpec, rows: int, memory: Memory, *, on_device: bool) -> None:
        self.spec = spec
        self.row_shape = tuple(int(length) for length in spec.shape[1:])
        self._copy = memory.copy
        size = rows * int(np.prod(self.row_shape)) * np.dtype(spec.dtype).itemsize
        self._host = memory.allocate(size).view(spec.dtype).reshape(rows, *self.row_shape)
        self._device: ort.OrtValue | None = None
        self.place = "cpu"
        if on_device:
            self.place = memory.device
            self._device = ort.OrtValue.ortvalue_from_shape_and_type(
                self._host.shape, self._host.dtype, memory.device
            )
            self._copy(self.address, self._host.ctypes.data, size)

    @property
    def address(self) -> int:
        """Where sessions find it, at `place`."""
        return int(self._host.ctypes.data if self._device is None else self._device.data_ptr())

    def write(self, array: Array) -> None:
        """Put an array into the first rows.

        Raises:
            ValueError: Its rows or its dtype are others.
        """
        if array.shape[1:] != self.row_shape or array.dtype != self.spec.dtype:
            raise ValueError(
                f"'{self.spec.name}' is {array.dtype}{list(array.shape)}, "
                f"expected {self.spec.dtype}[rows, {', '.join(map(str, self.row_shape))}]"
            )
        part = self._host[: len(array)]
        part[:] = array
        if self._device is not None:
            self._copy(self.address, part.ctypes.data, part.nbytes)

    def read(self, rows: int) -> Array:
        """A copy of the first rows."""
        part = self._host[:rows]
        if self._device is not None:
            self._copy(part.ctypes.data, self.address, part.nbytes)
        return part.copy()
