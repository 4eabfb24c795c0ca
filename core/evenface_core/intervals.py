"""How far a share that was seen in a few items may be from the true one."""

import math

_Z95 = 1.959964  # quantile of the normal distribution for an interval of 95 %


def wilson_interval(rate: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share seen in `count` >= 1 items (Wilson 1927).

    Args:
        rate: The share, 0 to 1.
        count: Of how many items.
    """
    square = _Z95**2 / count
    centre = rate + square / 2
    reach = _Z95 * math.sqrt(rate * (1 - rate) / count + square / (4 * count))
    return max(0.0, (centre - reach) / (1 + square)), min(1.0, (centre + reach) / (1 + square))
