"""Principal components as a yardstick: what as many linear numbers an image would reconstruct.

Memory is bounded by the components themselves, however many images there are.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evenface_export.sessions import Float32, Int64, UInt8, batches

Float64 = NDArray[np.float64]

_WHITE = 255.0
_OVERSAMPLING = 10
_PASSES = 4


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which a set of images varies most.

    Attributes:
        centre: float32 [P], the mean image; P = S · S · C, values in 0 to 1.
        components: float32 [P, K], orthonormal columns.
    """

    centre: Float32 = field(repr=False)
    components: Float32 = field(repr=False)

    @classmethod
    def fit(cls, images: UInt8, rows: Int64, size: int) -> Self:
        """Find the leading components by randomised subspace iteration.

        Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 2011,
        algorithm 4.4 with the Rayleigh-Ritz step of section 5.3.

        Args:
            images: uint8 [N, S, S, C].
            rows: int64 [M], the images to fit.
            size: K; at most M - 1 and P are found.
        """
        centre = _mean(images, rows)
        size = min(size, len(rows) - 1, centre.size)
        width = min(size + _OVERSAMPLING, centre.size)
        noise = np.random.default_rng(0).standard_normal((centre.size, width), np.float32)
        basis = np.linalg.qr(noise).Q
        for _ in range(_PASSES):
            basis = np.linalg.qr(_scatter(images, rows, centre, basis)).Q
        inner = basis.T @ _scatter(images, rows, centre, basis)
        _, vectors = np.linalg.eigh((inner + inner.T) / 2)  # ascending
        return cls(centre, basis @ vectors[:, vectors.shape[1] - size :])

    def reconstruct(self, images: UInt8) -> UInt8:
        """Project images uint8 [N, S, S, C] on the components and back."""
        pixels = _flat(images) - self.centre
        rebuilt = (pixels @ self.components) @ self.components.T + self.centre
        levels = (rebuilt * np.float32(_WHITE)).clip(0, _WHITE).round()
        return levels.astype(np.uint8).reshape(images.shape)


def _flat(images: UInt8) -> Float32:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(_WHITE)


def _mean(images: UInt8, rows: Int64) -> Float32:
    total: Float64 = np.zeros(images[0].size)
    for batch in batches(rows, "averaging"):
        total += _flat(images[batch]).sum(axis=0)
    return (total / len(rows)).astype(np.float32)


def _scatter(images: UInt8, rows: Int64, centre: Float32, basis: Float32) -> Float32:
    """Σ x xᵀ applied to a basis, float32 [P, width]."""
    product = np.zeros_like(basis)
    for batch in batches(rows, "principal components"):
        pixels = _flat(images[batch]) - centre
        product += pixels.T @ (pixels @ basis)
    return product
