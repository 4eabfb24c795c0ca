"""Fixed fields of smooth noise, of which each image sees its own section."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from evenface_training.synthetic.canvas import Patch

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

NoiseKind = Literal["cloud", "curl", "streak", "grain"]

# Cells of each octave across an image's height and width, and its weight.
_OCTAVES: dict[NoiseKind, tuple[tuple[int, int, float], ...]] = {
    "cloud": ((3, 3, 0.55), (6, 6, 0.3), (13, 13, 0.15)),
    "curl": ((10, 10, 0.5), (20, 20, 0.5)),
    "streak": ((3, 22, 0.65), (5, 40, 0.35)),
    "grain": ((64, 64, 1.0),),
}
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
    """A field of two by two images, the same function of place at every size."""
    rng = np.random.Generator(np.random.Philox(_SEED))
    total = np.zeros((2 * size, 2 * size))
    for lines, columns, weight in _OCTAVES[kind]:
        lattice = rng.random((2 * lines + 2, 2 * columns + 2))
        total += weight * _stretch(_stretch(lattice, size, lines).T, size, columns).T
    spread = 4 * total.std()
    field: Float32 = np.clip(0.5 + (total - total.mean()) / spread, 0, 1).astype(np.float32)
    return field


def _stretch(lattice: NDArray[np.float64], size: int, cells: int) -> NDArray[np.float64]:
    """Interpolate float64 [2 · cells + 2, K] to [2 · size, K], smoothly."""
    place = (np.arange(2 * size) + 0.5) * cells / size
    lower = place.astype(int)
    share = place - lower
    share = (share * share * (3 - 2 * share))[:, None]
    stretched: NDArray[np.float64] = (1 - share) * lattice[lower] + share * lattice[lower + 1]
    return stretched
