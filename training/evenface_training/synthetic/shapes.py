"""Signed distances to simple shapes (negative inside), and how much of a pixel they cover.

Arrays broadcast: coordinates are float32 [N, H, W], measures [N, 1, 1]. Only arithmetic and square
roots, which are exactly rounded: a pixel's value does not depend on where in an array it stands.
"""

import numpy as np

from evenface_training.synthetic.arrays import Float32

Number = Float32 | np.float32 | float

_TINY = 1e-6


def cover(distance: Float32, pixel: Float32) -> Float32:
    """The share of a pixel of this width that lies inside, 0 to 1: anti-aliasing."""
    share = distance / -pixel
    share += np.float32(0.5)
    return np.clip(share, 0, 1, out=share)


def ellipse(x: Float32, y: Float32, rx: Number, ry: Number) -> Float32:
    """An ellipse around the origin, to first order: level over slope."""
    u, v = x / rx, y / ry
    np.square(u, out=u)
    np.square(v, out=v)
    level = u + v
    np.sqrt(level, out=level)
    u /= rx * rx
    v /= ry * ry
    slope = u + v
    np.sqrt(slope, out=slope)
    slope += np.float32(_TINY)
    distance = level - 1
    distance *= level
    distance /= slope
    return distance


def box(x: Float32, y: Float32, half_x: Number, half_y: Number, corner: Number) -> Float32:
    """A box around the origin with rounded corners."""
    dx, dy = np.abs(x) - half_x + corner, np.abs(y) - half_y + corner
    outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return outside + np.minimum(np.maximum(dx, dy), 0) - corner


def segment(x: Float32, y: Float32, end_x: Number, end_y: Number, radius: Number) -> Float32:
    """A line from the origin to a point, with round ends."""
    along = (x * end_x + y * end_y) / (end_x * end_x + end_y * end_y + _TINY)
    along = np.minimum(np.maximum(along, 0), 1)
    dx, dy = x - along * end_x, y - along * end_y
    return np.sqrt(dx * dx + dy * dy) - radius


def glow(x: Float32, y: Float32, rx: Number, ry: Number) -> Float32:
    """A soft spot: 1 in the middle, falling smoothly to 0 at the ellipse."""
    u, v = x / rx, y / ry
    fall = (1 - u * u) - v * v
    np.maximum(fall, 0, out=fall)
    fall *= fall
    return fall


def step(value: Float32, low: Number, high: Number) -> Float32:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.minimum(np.maximum((value - low) / (high - low), 0), 1)
    return t * t * (3 - 2 * t)
