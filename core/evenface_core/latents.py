"""Arithmetic on latents: seeded noise, posterior samples, interpolation. Needs numpy alone."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from evenface_core.errors import InvalidInput

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_SEED_LIMIT = 2**64
_LEAST_ANGLE = 1e-3  # radians between directions that are told apart


def standard_normal(seed: int, items: Iterable[int], size: int) -> Float32:
    """Draw ε ~ N(0, 1) for numbered items, each independent of the others drawn with it.

    The generator is Philox, which is counter-based (Salmon et al., "Parallel random numbers: as
    easy as 1, 2, 3", SC 2011), keyed by (seed, item): an item's noise is the same whatever batch,
    machine or request it is part of.

    Args:
        seed: 0 to 2⁶⁴ - 1.
        items: Numbers of the items, each 0 to 2⁶⁴ - 1.
        size: D, the number of latent dimensions.

    Returns:
        float32 [N, D].

    Raises:
        InvalidInput: The seed or an item does not fit 64 bits.
    """
    rows = [_noise(seed, item, size) for item in items]
    return np.stack(rows) if rows else np.empty((0, size), np.float32)


def _noise(seed: int, item: int, size: int) -> Float32:
    for field, value in (("seed", seed), ("item", item)):
        if not 0 <= value < _SEED_LIMIT:
            raise InvalidInput(field, f"{value} is outside 0 to 2^64 - 1", value=value)
    key = np.array([seed, item], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(size, np.float32)


def posterior_sample(mean: Float32, log_variance: Float32, noise: Float32) -> Float32:
    """Sample q(z|x) by reparameterisation: z = mean + exp(½ · log σ²) · ε (Kingma & Welling 2014).

    Args:
        mean: float32 [N, D].
        log_variance: float32 [N, D], log σ².
        noise: float32 [N, D], ε ~ N(0, 1).

    Returns:
        float32 [N, D].
    """
    deviation: Float32 = np.exp(np.float32(0.5) * log_variance)
    return mean + deviation * noise


def interpolate(start: Float32, end: Float32, steps: int) -> Float32:
    """Walk on a straight line from one latent to another, both ends included.

    Args:
        start: float32 [D].
        end: float32 [D].
        steps: Number of latents, at least 2.

    Returns:
        float32 [steps, D].

    Raises:
        InvalidInput: Fewer than two steps.
    """
    if steps < 2:  # noqa: PLR2004
        raise InvalidInput("steps", f"{steps} is below 2", value=steps, limit=2)
    share = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
    return (np.float32(1) - share) * start + share * end


def interpolate_spherical(start: Float32, end: Float32, steps: int, centre: Float32) -> Float32:
    """Walk from one latent to another around a centre, both ends included.

    Directions from the centre go along the great circle ("Sampling generative networks", White,
    2016), distances from it change evenly; so a face halfway is as far from the average face as
    those at the ends, where a straight line leads towards it. Where the ends lie in one direction,
    or in opposite ones, there is no such circle, and the walk is straight.

    Args:
        start: float32 [D].
        end: float32 [D].
        steps: Number of latents, at least 2.
        centre: float32 [D], such as the mean of the aggregate posterior.

    Returns:
        float32 [steps, D].

    Raises:
        InvalidInput: Fewer than two steps.
    """
    straight = interpolate(start, end, steps)
    ends = np.stack([start, end]).astype(np.float64) - centre
    radii = np.linalg.norm(ends, axis=1)
    if not radii.all():
        return straight
    first, last = ends / radii[:, None]
    angle = np.arccos(np.clip(first @ last, -1, 1))
    if min(angle, np.pi - angle) < _LEAST_ANGLE:
        return straight
    share = np.linspace(0.0, 1.0, steps)[:, None]
    direction = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)
    distance = (1 - share) * radii[0] + share * radii[1]
    walked: Float32 = (centre + distance * direction).astype(np.float32)
    return walked


def traverse(latent: Float32, dimension: int, values: Iterable[float]) -> Float32:
    """Vary one dimension of a latent and keep the others.

    Args:
        latent: float32 [D].
        dimension: Which one, 0 to D - 1.
        values: The values that it takes.

    Returns:
        float32 [number of values, D].

    Raises:
        InvalidInput: There is no such dimension.
    """
    if not 0 <= dimension < latent.size:
        raise InvalidInput(
            "dimension", f"{dimension} is outside 0 to {latent.size - 1}", value=dimension
        )
    taken = np.fromiter(values, np.float32)
    rows = np.repeat(latent[None], taken.size, axis=0)
    rows[:, dimension] = taken
    return rows


def require_finite(latents: NDArray[np.generic], *, field: str) -> None:
    """Refuse latents with NaN or infinity.

    Raises:
        InvalidInput: Names the first item at fault.
    """
    finite = np.isfinite(latents).all(axis=-1)
    if not finite.all():
        raise InvalidInput(field, "holds NaN or infinity", index=int(np.argmin(finite)))
