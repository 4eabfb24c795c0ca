"""Arrays as bytes."""

from collections.abc import Sequence

import numpy as np
import pytest
from evenface_core.errors import InvalidInput
from evenface_core.tensors import from_bytes, to_bytes


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4), (4, 0, 2)])
def test_an_array_comes_back_as_it_went(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)
    found = from_bytes(to_bytes(array), shape, np.float64, field="latents.data")
    assert found.shape == shape
    assert (found == array).all()


@pytest.mark.parametrize(
    "shape",
    [(1, 2**63), (0, 2**62), (0, 4, 2**31 - 1, 2**32 - 1), (2**32, 2**32), (-1, -1), (0, -1)],
    ids=str,
)
def test_a_shape_that_no_array_has_is_refused(shape: Sequence[int]) -> None:
    data = bytes(8) if shape == (-1, -1) else b""
    with pytest.raises(InvalidInput, match="bytes, but shape") as caught:
        from_bytes(data, shape, np.float64, field="latents.data")
    assert caught.value.field == "latents.data"
