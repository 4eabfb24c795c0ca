"""The few calls of CUDA's runtime library that ONNX Runtime's Python API lacks.

CUDA copies page-locked memory as it is, and other memory by way of a buffer of its own; ONNX
Runtime can use it, but offers no way to allocate it.
"""

import contextlib
import ctypes
import functools
import io
import weakref

import numpy as np
import onnxruntime as ort
from evenface_core.errors import ConfigError
from numpy.typing import NDArray

_DEFAULT_FLAGS = 0
_COPY_DEFAULT = 4  # cudaMemcpyDefault: the direction follows from the addresses


class CudaRuntime:
    """CUDA's runtime library.

    Args:
        library: libcudart, loaded.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        library.cudaHostAlloc.argtypes = (
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_size_t,
            ctypes.c_uint,
        )
        library.cudaFreeHost.argtypes = (ctypes.c_void_p,)
        library.cudaMemcpy.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
        )
        library.cudaGetDeviceCount.argtypes = (ctypes.POINTER(ctypes.c_int),)
        library.cudaGetErrorString.restype = ctypes.c_char_p
        self._library = library

    def check_device(self) -> None:
        """Look for a GPU, without using it.

        Raises:
            RuntimeError: There is none that answers.
        """
        count = ctypes.c_int()
        self._check(self._library.cudaGetDeviceCount(ctypes.byref(count)))

    def page_locked(self, size: int) -> NDArray[np.uint8]:
        """Allocate page-locked memory, all zero; it is freed with the last array on it.

        Args:
            size: Bytes, ≥ 1.

        Raises:
            RuntimeError: CUDA says why not.
        """
        address = ctypes.c_void_p()
        self._check(self._library.cudaHostAlloc(ctypes.byref(address), size, _DEFAULT_FLAGS))
        memory = (ctypes.c_uint8 * size).from_address(address.value or 0)
        weakref.finalize(memory, self._library.cudaFreeHost, address)
        array = np.frombuffer(memoryview(memory), np.uint8)
        array[:] = 0
        return array

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy between addresses on the host and on the GPU; back when it is done.

        Raises:
            RuntimeError: CUDA says why not.
        """
        self._check(self._library.cudaMemcpy(target, source, size, _COPY_DEFAULT))

    def _check(self, code: int) -> None:
        if code:
            text = self._library.cudaGetErrorString(code).decode(errors="replace")
            raise RuntimeError(f"CUDA error {code}: {text}")


@functools.cache
def load_cuda_runtime() -> CudaRuntime:
    """Load the library of the CUDA version that ONNX Runtime was built with.

    Raises:
        ConfigError: It cannot be loaded, or no GPU answers.
    """
    load_libraries()
    name = f"libcudart.so.{ort.cuda_version.partition('.')[0]}"
    try:
        runtime = CudaRuntime(ctypes.CDLL(name))
        runtime.check_device()
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"device: no GPU can be used: {error}") from error
    return runtime


@functools.cache
def load_libraries() -> str:
    """Load CUDA and cuDNN from where pip puts them; return what ONNX Runtime says of it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # stdout is for logs
        ort.preload_dlls()
    return " ".join(said.getvalue().split())
