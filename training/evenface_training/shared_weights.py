"""Resampling weights of faces that several processes have encoded, each a part of them."""

import numpy as np
from evenface_core.resampling import LatentHistogram, Weights
from evenface_core.weights import weights_of
from numpy.typing import NDArray

from evenface_training.config import ResamplingConfig
from evenface_training.data import Int64, TrainingData
from evenface_training.evaluate import Encodings
from evenface_training.ranks import Ranks
from evenface_training.sampler import face_weights, rule_weights


def shared_weights(
    encodings: Encodings, data: TrainingData, rows: Int64, config: ResamplingConfig, ranks: Ranks
) -> Weights:
    """Weight all faces, as `sampler.face_weights` would if one process had encoded them all.

    Args:
        encodings: Of this rank's part of the faces.
        data: Has the labels of rule `groups`.
        rows: int64 [N], which of `data.faces.images` all of them are.
        config: Rule, bins, smoothing and tempering.
        ranks: Who has the others.

    Raises:
        TrainingError: As `sampler.face_weights`.
    """
    if config.group_column is not None:
        return face_weights(encodings, data, rows, config)
    if config.reads == "logits":  # one number a face: all can have all
        assert encodings.logit is not None  # noqa: S101 - the configuration refuses such rules
        logit = ranks.join(encodings.logit.astype(np.float64), len(rows)).astype(np.float32)
        return rule_weights(None, logit, config)
    assert encodings.mean is not None  # noqa: S101 - as above
    return _by_latents(encodings.mean, len(rows), config, ranks)


def _by_latents(
    latents: NDArray[np.float32], count: int, config: ResamplingConfig, ranks: Ranks
) -> Weights:
    """Each counts its own faces between the same edges; against the sum, each scores its own."""
    low, high = ranks.extremes(
        latents.min(axis=0).astype(np.float64), latents.max(axis=0).astype(np.float64)
    )
    edges = LatentHistogram.from_latents(np.stack([low, high]), bins=config.bins).edges
    mine = LatentHistogram.with_edges(latents, edges)
    whole = LatentHistogram(edges, ranks.sum(mine.counts))
    weights = whole.weights(latents, config.rule, smoothing=config.smoothing)
    scores = ranks.join(np.log(weights.values) + weights.log_total, count)
    return weights_of(scores, config.rule, config.min_effective_sample_size)
