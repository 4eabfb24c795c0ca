"""A degraded copy of a test set: little light, low contrast, noise, a shifted crop.

A clean test set that looks like the training set is soon at the ceiling and then shows no
difference between models; this one does. It changes no training and uses no torch.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_LIGHT = (0.25, 0.8)
_CONTRAST = (0.6, 1.0)
_NOISE = 6.0  # standard deviation, of 255 levels
_SHIFT = 1 / 16  # of the side: 4 pixels of 64


def degrade(images: UInt8, seed: int = 0) -> UInt8:
    """Make the degraded copy of images.

    Light is multiplied by 0.25 to 0.8, contrast (distance from the image's mean) by 0.6 to 1, noise
    of sigma 6 of 255 levels is added, and the picture moved by up to a sixteenth of its side each
    way, with the edge repeated.

    Args:
        images: uint8 [N, S, S, C].
        seed: 0 or above; another gives other copies.

    Returns:
        uint8 [N, S, S, C]. An image's copy follows from its pixels and the seed alone, whatever
        stands beside it.
    """
    copies = np.empty_like(images)
    for copy, image in zip(copies, images, strict=True):
        copy[:] = _degraded(image, seed)
    return copies


def _degraded(image: UInt8, seed: int) -> UInt8:
    digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest, "little")])
    lit = _shifted(image, rng) * np.float32(rng.uniform(*_LIGHT))
    mean = lit.mean()
    pixels = mean + (lit - mean) * np.float32(rng.uniform(*_CONTRAST))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(_NOISE)
    levels: UInt8 = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return levels


def _shifted(image: UInt8, rng: np.random.Generator) -> Float32:
    height, width = image.shape[:2]
    reach = int(height * _SHIFT)
    down, right = rng.integers(-reach, reach, 2, endpoint=True)
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    moved: Float32 = image[rows][:, columns].astype(np.float32)
    return moved
