"""Principal components: what as many linear numbers as a latent has keep of an image.

Where the linear path of a `residual` model starts, and the yardstick for every model's
reconstructions. Memory is bounded by the components themselves, however many images there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

_WHITE = 255.0
_BATCH = 64
_OVERSAMPLING = 10
_PASSES = 4


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which a set of images varies most.

    Attributes:
        centre: float32 [P], the mean image; P = S · S · C, values in 0 to 1.
        components: float32 [P, K], orthonormal columns, the strongest last.
        variances: float32 [K], of the images along each of them, above 0.
        rest: Variance along a direction that they leave out, the mean over those; above 0.
    """

    centre: Float32 = field(repr=False)
    components: Float32 = field(repr=False)
    variances: Float32 = field(repr=False)
    rest: float

    @classmethod
    def fit(
        cls, images: UInt8, rows: Int64, size: int, *, pool: int = 1, mirrored: bool = False
    ) -> Self:
        """Find the leading components by randomised subspace iteration.

        Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 2011,
        algorithm 4.4 with the Rayleigh-Ritz step of section 5.3.

        Args:
            images: uint8 [N, S, S, C].
            rows: int64 [M], the images to fit.
            size: K; at most M - 1 and P are found.
            pool: Squares of as many pixels a side are averaged first; S becomes S / pool.
            mirrored: Each image counts a second time, mirrored.
        """
        pixels = _Pixels(images, rows, pool, mirrored)
        centre, total = pixels.moments()
        size = min(size, len(rows) - 1, centre.size)
        width = min(size + _OVERSAMPLING, centre.size)
        noise = np.random.default_rng(0).standard_normal((centre.size, width), np.float32)
        basis = np.linalg.qr(noise).Q
        for _ in range(_PASSES):
            basis = np.linalg.qr(pixels.covariance(centre, basis)).Q
        inner = basis.T @ pixels.covariance(centre, basis)
        values, vectors = np.linalg.eigh((inner + inner.T) / 2)  # ascending
        leading = slice(vectors.shape[1] - size, None)
        variances = values[leading].clip(np.finfo(np.float32).tiny)
        rest = (total - float(variances.sum())) / max(1, centre.size - size)
        return cls(
            centre=centre,
            components=basis @ vectors[:, leading],
            variances=variances,
            rest=max(rest, float(np.finfo(np.float32).tiny)),
        )

    def reconstruct(self, images: UInt8) -> UInt8:
        """Project images uint8 [N, S, S, C] on the components and back; not for pooled ones."""
        pixels = _flat(images) - self.centre
        rebuilt = (pixels @ self.components) @ self.components.T + self.centre
        levels = (rebuilt * np.float32(_WHITE)).clip(0, _WHITE).round()
        return levels.astype(np.uint8).reshape(images.shape)


@dataclass(frozen=True)
class _Pixels:
    """Images as rows of numbers in 0 to 1, a batch at a time."""

    images: UInt8
    rows: Int64
    pool: int
    mirrored: bool

    def moments(self) -> tuple[Float32, float]:
        """The mean image, and the variances of all pixel values, summed."""
        total: Float64 = np.zeros(_flat(self.images[:1, :: self.pool, :: self.pool]).size)
        squares, count = 0.0, 0
        for batch in self._batches("averaging"):
            total += batch.sum(axis=0)
            squares += float(np.square(batch).sum())
            count += len(batch)
        centre = total / count
        return centre.astype(np.float32), squares / count - float(np.square(centre).sum())

    def covariance(self, centre: Float32, basis: Float32) -> Float32:
        """The covariance of the pixel values applied to a basis, float32 [P, width]."""
        product, count = np.zeros_like(basis), 0
        for batch in self._batches("principal components"):
            apart = batch - centre
            product += apart.T @ (apart @ basis)
            count += len(batch)
        return product / np.float32(count)

    def _batches(self, doing: str) -> Iterator[Float32]:
        with tqdm(total=len(self.rows), desc=doing, unit="image", disable=None, leave=False) as bar:
            for start in range(0, len(self.rows), _BATCH):
                images = self._pooled(self.images[self.rows[start : start + _BATCH]])
                yield _flat(images)
                if self.mirrored:
                    yield _flat(images[:, :, ::-1])
                bar.update(len(images))

    def _pooled(self, images: UInt8) -> NDArray[np.generic]:
        if self.pool == 1:
            return images
        count, side, _, channels = images.shape
        small = side // self.pool
        squares = images.reshape(count, small, self.pool, small, self.pool, channels)
        pooled: NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32)
        return pooled


def _flat(images: NDArray[np.generic]) -> Float32:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(_WHITE)
