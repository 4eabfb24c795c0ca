"""Fixed fields of smooth noise, of which each image sees its own section."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from evenface_training.synthetic.arrays import Float32
from evenface_training.synthetic.canvas import Patch

Int64 = NDArray[np.int64]

NoiseKind = Literal["cloud", "curl", "streak", "grain"]

# Bands of waves: fewest and most in an image's width, how many times fewer down, and the weight.
_BANDS: dict[NoiseKind, tuple[tuple[float, float, float, float], ...]] = {
    "cloud": ((0.5, 2.5, 1.0, 0.65), (2.5, 7.0, 1.0, 0.35)),
    "curl": ((2.0, 7.0, 1.0, 0.6), (6.0, 14.0, 1.0, 0.4)),
    "streak": ((4.0, 14.0, 9.0, 0.6), (12.0, 26.0, 12.0, 0.4)),
    "grain": ((10.0, 31.0, 1.0, 1.0),),
}
_WAVES = 128  # of each band
_SEED = 20190127


def noise(kind: NoiseKind, patch: Patch, offset: Int64) -> Float32:
    """Read a patch's section of a field.

    Args:
        kind: `cloud` is large and soft, `curl` small and round, `streak` upright, `grain` fine.
        patch: Where.
        offset: int64 [M, 2], where in the field each image begins, 0 to size - 1 down and across.

    Returns:
        float32 [M, H, W], 0 to 1, 0.5 on average.
    """
    size = round(2 / float(patch.pixel[0, 0, 0]))
    window = patch.values.shape[-2:]
    sections = sliding_window_view(_field(kind, size), window)
    section: Float32 = sections[offset[:, 0] + patch.top, offset[:, 1] + patch.left]
    return section


@lru_cache(maxsize=16)
def _field(kind: NoiseKind, size: int) -> Float32:
    """A field of two by two images, the same function of place at every size: a sum of waves."""
    rng = np.random.Generator(np.random.Philox(_SEED))
    place = (np.arange(2 * size) + 0.5) / size
    total = np.zeros((2 * size, 2 * size))
    for low, high, stretch, weight in _BANDS[kind]:
        # As many waves on each ring as it has room for, so that no direction or length stands out.
        length = np.sqrt(rng.uniform(low**2, high**2, _WAVES))
        angle, phase = 2 * np.pi * rng.random((2, _WAVES))
        down, across = length * np.sin(angle) / stretch, length * np.cos(angle)
        # exp(i(a + b)) = exp(ia) exp(ib): a band is one matrix product. Not `@`, whose last bits
        # depend on the number of threads.
        lines = np.exp(1j * (2 * np.pi * place[:, None] * down + phase))
        columns = np.exp(2j * np.pi * across[:, None] * place)
        total += weight * np.einsum("lw,wc->lc", lines, columns).real
    field: Float32 = np.clip(0.5 + total / (4 * total.std()), 0, 1).astype(np.float32)
    return field
