"""Ways to weight faces without labels that were tried beside the project's rules.

Each gives float64 [N], logarithms of scores, from latents float32 [N, D]. All judge latents after
whitening by their covariance, so that no direction counts for more than another.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

Float64 = NDArray[np.float64]
Latents = NDArray[np.floating]

_COMPONENTS = 20
_NEIGHBOURS = 50
_CLUSTERS = (20, 50, 100)
_DIRECTIONS = 10
_LEAST_SHARE = 0.005


def whitened(latents: Latents, components: int) -> Float64:
    """Leading principal components with unit variance, float64 [N, components]."""
    centred = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(np.cov(centred.T))
    leading = np.argsort(-variances)[:components]
    found: Float64 = centred @ directions[:, leading] / np.sqrt(variances[leading] + 1e-12)
    return found


def neighbours(latents: Latents) -> Float64:
    """1 / density by the distance to the 50th neighbour in 20 components."""
    points = whitened(latents, _COMPONENTS)
    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(points) - 1)).fit(points)
    distances, _ = index.kneighbors()
    scores: Float64 = _COMPONENTS * np.log(distances[:, -1])
    return scores


def clusters(latents: Latents) -> Float64:
    """1 / size of the cluster, averaged over k-means of 20, 50 and 100 clusters."""
    points = whitened(latents, _COMPONENTS)
    scores = np.zeros(len(points))
    for count in _CLUSTERS:
        found = KMeans(count, n_init=1, random_state=0).fit_predict(points)
        scores += 1 / np.bincount(found, minlength=count)[found]
    return np.log(scores)


def tails(latents: Latents) -> Float64:
    """1 / share beyond, in the longer tail of the 10 most skewed independent components.

    A rare group moves the mean to one side and so makes a direction skewed; odd pictures lie on
    both sides.
    """
    points = whitened(latents, latents.shape[1])
    components = FastICA(whiten=False, random_state=0, max_iter=100, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # normal directions never settle
        sources = components.fit_transform(points)
    skewness = (sources**3).mean(axis=0) / sources.std(axis=0) ** 3
    chosen = np.argsort(-np.abs(skewness))[:_DIRECTIONS]
    ranks = (-sources[:, chosen] * np.sign(skewness[chosen])).argsort(axis=0).argsort(axis=0)
    shares = np.maximum((ranks + 0.5) / len(points), _LEAST_SHARE)
    scores: Float64 = np.log((1 / shares).mean(axis=1))
    return scores


CANDIDATES: Mapping[str, Callable[[Latents], Float64]] = {
    "neighbours": neighbours,
    "clusters": clusters,
    "tails": tails,
}
