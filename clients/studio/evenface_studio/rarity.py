"""How rare a face is among a model's training faces, from their histogram alone.

Every figure here holds whether dimensions depend on each other or not: shares of one dimension's
bins, and sums of such shares over dimensions. What share of training faces is rarer as a whole does
not follow from a histogram: taken as independent, the dimensions of the default model call 17 % of
real portraits rarer than 99 % of them.
"""

from dataclasses import dataclass

import numpy as np
from evenface_client import Histogram
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

RARE = 0.01  # of the training faces: a bin with fewer of them is a rare one


@dataclass(frozen=True, eq=False)
class Rarity:
    """How rare one face is. D = latent dimensions.

    Attributes:
        shares: float64 [D], share of training faces in the bin that the face lies in, 0 to 1.
        rare: In how many dimensions that is below `RARE`.
        expected: In how many dimensions it is for a training face, on average.
        order: int64 [D], dimensions from the rarest bin to the commonest.
    """

    shares: Float64
    rare: int
    expected: float
    order: Int64


def rarity(histogram: Histogram, latent: Float32) -> Rarity:
    """Judge one face.

    Args:
        histogram: Of the training set's latents; it counts at least one.
        latent: float32 [D], the mean of the face.
    """
    shares = histogram.counts / histogram.total
    own = shares[np.arange(len(shares)), bins_of(histogram, latent)]
    expected = shares[shares < RARE].sum()  # by the linearity of expectations
    return Rarity(own, int((own < RARE).sum()), float(expected), np.argsort(own, kind="stable"))


def bins_of(histogram: Histogram, latent: Float32) -> Int64:
    """The bin of each dimension that a face lies in, int64 [D]; the outer ones are open."""
    inner = histogram.edges[:, 1:-1]
    found: Int64 = (np.asarray(latent, np.float64)[:, None] >= inner).sum(axis=1)
    return found


def activity(histogram: Histogram) -> Float64:
    """How much each dimension varies over the training faces, float64 [D].

    The variance of the means, from the bins' middles; after "Importance weighted autoencoders"
    (Burda, Grosse, Salakhutdinov, ICLR 2016), who call a dimension active where it is above 0.01.
    """
    middles = (histogram.edges[:, 1:] + histogram.edges[:, :-1]) / 2
    shares = histogram.counts / histogram.total
    mean = (shares * middles).sum(axis=1, keepdims=True)
    variance: Float64 = (shares * (middles - mean) ** 2).sum(axis=1)
    return variance
