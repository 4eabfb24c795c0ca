"""Many images at once, drawn on in patches: small windows that lie elsewhere in each image."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from evenface_training.synthetic.arrays import Float32

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]


_CACHED = 2**17  # values; with three planes of as many they fit a core's second cache


class Patch:
    """One window of the same size in each of M images.

    Attributes:
        rows: int64 [M], which images.
        top: int64 [M], the windows' first lines.
        left: int64 [M], their first columns.
        x: float32 [M, 1, W], where the pixels' middles are; the image reaches from -1 to 1.
        y: float32 [M, H, 1], the same downwards.
        pixel: Width of a pixel, float32 [1, 1, 1].
        values: float32 [M, 3, H, W] in [0, 1], to be changed.
    """

    def __init__(self, values: Float32, rows: Int64, top: Int64, left: Int64, size: int) -> None:
        height, width = values.shape[-2:]
        self.values = values
        self.rows, self.top, self.left = rows, top, left
        self.pixel = np.full((1, 1, 1), 2 / size, np.float32)
        scale, half = np.float32(2 / size), np.float32(0.5)
        columns = (left[:, None] + np.arange(width)).astype(np.float32)
        lines = (top[:, None] + np.arange(height)).astype(np.float32)
        self.x = ((columns + half) * scale - 1)[:, None, :]
        self.y = ((lines + half) * scale - 1)[:, :, None]

    def paint(self, color: Float32, alpha: Float32) -> None:
        """Lay a colour over the patch.

        Args:
            color: float32 [M, 3, 1, 1], or [M, 3, H, W].
            alpha: float32 [M, H, W], how opaque.
        """
        color = np.broadcast_to(color, (len(alpha), *color.shape[1:]))
        step = max(1, _CACHED // max(1, alpha[0].size)) if len(alpha) else 1
        change = np.empty((step, *alpha.shape[1:]), np.float32)
        for start in range(0, len(alpha), step):  # what is worked on stays in the cache
            some = slice(start, start + step)
            for channel in range(3):
                plane = self.values[some, channel]
                part = change[: len(plane)]
                np.subtract(color[some, channel], plane, out=part)
                part *= alpha[some]
                plane += part

    def tint(self, factor: Float32) -> None:
        """Multiply all channels by float32 [M, H, W]."""
        self.values *= factor[:, None]


class Canvas:
    """N images of S×S pixels.

    Attributes:
        values: float32 [N, 3, S, S] in [0, 1].
        size: S.
    """

    def __init__(self, count: int, size: int) -> None:
        self.values = np.zeros((count, 3, size, size), np.float32)
        self.size = size

    @contextmanager
    def patch(self, rows: Int64, x: Float32, y: Float32, reach: float) -> Iterator[Patch]:
        """Lend the windows around some points, and take them back changed.

        What reaches beyond the border is cut off.

        Args:
            rows: int64 [M], images.
            x: float32 [M, 1, 1], the points.
            y: float32 [M, 1, 1].
            reach: How far from its point something is drawn. The same for all images, so that
                none depends on which others it is drawn with.
        """
        pixels = int(np.ceil(reach * self.size / 2)) + 1
        side = min(2 * pixels + 1, self.size)
        corner = [
            np.clip(np.floor((c[:, 0, 0] + 1) * self.size / 2) - pixels, 0, self.size - side)
            for c in (y, x)
        ]
        top, left = (c.astype(np.int64) for c in corner)
        windows = sliding_window_view(self.values, (side, side), axis=(2, 3), writeable=True)
        patch = Patch(windows[rows, :, top, left], rows, top, left, self.size)
        yield patch
        windows[rows, :, top, left] = patch.values

    @contextmanager
    def window(self, rows: Int64, lines: slice, columns: slice) -> Iterator[Patch]:
        """Lend the same window of some images, int64 [M], and take it back changed."""
        everything = len(rows) == len(self.values)
        seen = self.values[:, :, lines, columns]
        top, left = (np.full(len(rows), part.start or 0, np.int64) for part in (lines, columns))
        patch = Patch(seen if everything else seen[rows], rows, top, left, self.size)
        yield patch
        if not everything:
            seen[rows] = patch.values

    def whole(self, rows: Int64) -> AbstractContextManager[Patch]:
        """Lend some images as they are."""
        return self.window(rows, slice(None), slice(None))

    def images(self, exposure: Float32, grain: Float32) -> UInt8:
        """Take the pictures; the canvas is spent.

        Args:
            exposure: float32 [N, 1, 1], what light is multiplied by.
            grain: float32 [N, S, S], what is added then.

        Returns:
            uint8 [N, S, S, 3].
        """
        levels = self.values
        levels *= 255 * exposure[:, None]
        levels += (255 * grain + np.float32(0.5))[:, None]
        np.clip(levels, 0, 255, out=levels)
        images = np.empty((len(levels), self.size, self.size, 3), np.uint8)
        for channel in range(3):
            images[..., channel] = levels[:, channel]
        return images
