"""Arrays as little-endian bytes, the form in which tensors travel. Needs numpy alone."""

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from evenface_core.errors import InvalidInput

_IS_LITTLE = sys.byteorder == "little"


def to_bytes(array: NDArray[np.generic]) -> bytes:
    """Return the elements of an array as little-endian bytes in C order."""
    if not (_IS_LITTLE and array.dtype.isnative):
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def from_bytes(
    data: bytes, shape: Sequence[int], dtype: DTypeLike, *, field: str
) -> NDArray[np.generic]:
    """View little-endian bytes as an array.

    Args:
        data: The elements in C order.
        shape: Length of each dimension.
        dtype: Element type.
        field: Name for errors.

    Returns:
        A read-only array of `shape` and `dtype` that shares the memory of `data`.

    Raises:
        InvalidInput: The number of bytes does not fit the shape, or nothing could.
    """
    element = np.dtype(dtype).newbyteorder("<")
    expected = math.prod(shape) * element.itemsize
    # An empty array may not be too long in its other dimensions, either.
    whole = math.prod(max(length, 1) for length in shape) * element.itemsize
    if len(data) != expected or min(shape, default=0) < 0 or whole > sys.maxsize:
        shown = "×".join(map(str, shape)) or "scalar"
        raise InvalidInput(
            field,
            f"{len(data)} bytes, but shape {shown} of {np.dtype(dtype).name} takes {expected}",
            value=len(data),
            limit=expected,
        )
    return np.frombuffer(data, dtype=element).reshape(tuple(shape))
