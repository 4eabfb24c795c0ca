"""Resampling weights of all faces and non-faces, of which each process encodes a part."""

import numpy as np
import torch
from evenface_core.resampling import LatentHistogram, Weights
from evenface_core.weights import weights_of
from numpy.typing import NDArray

from evenface_training.config import ResamplingConfig
from evenface_training.data import SplitImages, TrainingData
from evenface_training.evaluate import Encodings, encode_all
from evenface_training.models import FaceModel
from evenface_training.ranks import Ranks
from evenface_training.sampler import DrawWeights, face_weights, nonface_weights, rule_weights


def draw_weights(
    model: FaceModel, data: TrainingData, config: ResamplingConfig, ranks: Ranks
) -> tuple[DrawWeights, Weights | None]:
    """Weigh whatever is to be drawn by weight.

    Args:
        model: What judges the images.
        data: They; and the labels of rule `groups`.
        config: What is wanted.
        ranks: Who encodes which.

    Returns:
        What to draw by, and the faces' weights with what is known of them.

    Raises:
        TrainingError: As `sampler.face_weights`.
    """
    faces = _face_weights(model, data, config, ranks) if config.enabled else None
    nonfaces = None
    if config.nonfaces == "hard":
        assert data.nonfaces is not None  # noqa: S101 - a model that classifies has them
        logit = _all_logits(_encoded(model, data.nonfaces, ranks), data.nonfaces, ranks)
        nonfaces = torch.from_numpy(nonface_weights(logit).values)
    drawn = None if faces is None else torch.from_numpy(faces.values)
    return DrawWeights(drawn, nonfaces), faces


def _face_weights(
    model: FaceModel, data: TrainingData, config: ResamplingConfig, ranks: Ranks
) -> Weights:
    encodings = _encoded(model, data.faces, ranks)
    if ranks.size > 1:
        return _joined_weights(encodings, data, config, ranks)
    return face_weights(encodings, data, data.faces.train, config)


def _joined_weights(
    encodings: Encodings, data: TrainingData, config: ResamplingConfig, ranks: Ranks
) -> Weights:
    """Weight all faces, as `sampler.face_weights` would if one process had encoded them all.

    Args:
        encodings: Of this rank's part of the training faces.
        data: Has all of them, and the labels of rule `groups`.
        config: Rule, bins, smoothing and tempering.
        ranks: Who has the others.

    Raises:
        TrainingError: As `sampler.face_weights`.
    """
    rows = data.faces.train
    if config.group_column is not None:
        return face_weights(encodings, data, rows, config)
    if config.reads == "logits":
        return rule_weights(None, _all_logits(encodings, data.faces, ranks), config)
    assert encodings.mean is not None  # noqa: S101 - the configuration refuses such rules
    return _by_latents(encodings.mean, len(rows), config, ranks)


def _encoded(model: FaceModel, part: SplitImages, ranks: Ranks) -> Encodings:
    """This rank's part of the training images."""
    return encode_all(model, part.images, part.train[ranks.part(len(part.train))])


def _all_logits(encodings: Encodings, part: SplitImages, ranks: Ranks) -> NDArray[np.float32]:
    """All ranks' logits, one after the other: one number an image, so all can have all."""
    assert encodings.logit is not None  # noqa: S101 - the configuration refuses kinds without
    if ranks.size == 1:
        return encodings.logit
    joined = ranks.join(encodings.logit.astype(np.float64), len(part.train))
    return joined.astype(np.float32)


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
