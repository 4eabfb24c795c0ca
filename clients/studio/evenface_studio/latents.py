"""Where a model's latents lie, for walks through them. D = latent dimensions."""

import numpy as np
from evenface_client import ModelDetails
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_DEVIATIONS = 3.0  # to either side of the mean: nearly all training faces


def centre(details: ModelDetails) -> Float32:
    """The mean of the aggregate posterior, that of the prior where it is unknown; float32 [D]."""
    known = details.aggregate_posterior
    if known is None:
        return np.zeros(details.info.latent_size, np.float32)
    mean: Float32 = known[0].astype(np.float32)
    return mean


def spans(details: ModelDetails) -> list[tuple[float, float]]:
    """The range of each dimension that nearly all training faces lie in, as pairs."""
    known = details.aggregate_posterior
    size = details.info.latent_size
    mean, deviation = (np.zeros(size), np.ones(size)) if known is None else known
    reach = _DEVIATIONS * deviation
    return list(zip((mean - reach).tolist(), (mean + reach).tolist(), strict=True))
