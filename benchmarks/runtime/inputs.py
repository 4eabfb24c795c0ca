"""What graphs are run on."""

from typing import Any

import numpy as np
from evenface_core.manifest import FunctionName, Manifest
from evenface_runtime.signature import signature_of
from numpy.typing import NDArray

Array = NDArray[Any]


def inputs_of(manifest: Manifest, function: FunctionName, rows: int) -> tuple[Array, ...]:
    """Draw random images, latents and conditions, the same each time.

    Args:
        manifest: Of the bundle.
        function: Which of its functions.
        rows: How many.
    """
    rng = np.random.default_rng(0)
    return tuple(
        _draw(rng, spec.dtype, (rows, *(int(length) for length in spec.shape[1:])))
        for spec in signature_of(manifest, function).inputs
    )


def _draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape, np.float32)
