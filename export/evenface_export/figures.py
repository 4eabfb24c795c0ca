"""All figures of a bundle, measured with its own graphs on its run's own split of the data.

What describes the latent space comes from the training part, quality from the held-out part.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from evenface_core.manifest import GroupQuality
from evenface_core.resampling import DEFAULT_BINS
from evenface_training.config import TrainingConfig
from evenface_training.data import SplitImages, TrainingData
from evenface_training.degradation import degrade
from evenface_training.evaluate import Encodings
from evenface_training.groups import spread
from evenface_training.principal import PrincipalComponents
from evenface_training.sampler import face_weights
from numpy.typing import NDArray

from evenface_export.attributes import AttributeVector, find_vectors, split_sides
from evenface_export.distance import measure_samples
from evenface_export.latent_figures import LatentFigures, summarise_latents
from evenface_export.quality import (
    AT_ONE_PERCENT,
    DEFAULT_THRESHOLD,
    Detection,
    measure_detection,
    measure_reconstruction,
    rate_at_one_percent,
)
from evenface_export.sessions import Float32, ServedModel, UInt8

Bools = NDArray[np.bool_]

_COPIES = 4096  # degraded images in memory at a time


@dataclass(frozen=True)
class Figures:
    """What a model is worth.

    Attributes:
        threshold: Probability from which an image counts as a face.
        quality: Figures by name.
        groups: Figures by group.
        latents: What the latents say; None where there are none.
        attributes: Attribute vectors by name.
    """

    threshold: float
    quality: dict[str, float]
    groups: tuple[GroupQuality, ...]
    latents: LatentFigures | None = field(repr=False)
    attributes: Mapping[str, AttributeVector] = field(repr=False)


def measure(
    served: ServedModel,
    data: TrainingData,
    config: TrainingConfig,
    attributes: Sequence[str] | None = None,
    features: Path | None = None,
    max_false_positives: float | None = None,
) -> Figures:
    """Measure everything that the model's kind allows.

    Args:
        served: The exported graphs.
        data: The images of the run.
        config: The run's configuration.
        attributes: Label columns that become attribute vectors; None for those of the groups.
        features: Network that samples are compared with faces by; None for `distance`'s own.
        max_false_positives: Share of the held-out non-faces that may pass the decision threshold;
            None chooses it by balanced accuracy.

    Raises:
        ExportError: A label column cannot become attribute vectors, the network cannot be used, or
            no threshold keeps so many non-faces out.
    """
    quality = _counts(data)
    detection = None
    if config.model.classifies:
        detection = _detection(served, data, max_false_positives)
    latents, vectors = None, dict[str, AttributeVector]()
    if config.model.generates:
        encoded = served.encode(data.faces.images, data.faces.train)
        latents = _latents(served, encoded, data, config)
        vectors = _attributes(served, encoded[0], data, config, attributes)
    if detection is not None:
        quality |= detection.figures | _degraded(served, data)
    if latents is not None:
        quality |= _reconstruction(served, data, config.model.latent_size)
        quality |= measure_samples(served, latents, data, features)
        quality["effective_sample_size"] = latents.weightings[0].weights.effective_sample_size
    groups = _groups(data, detection, latents)
    return Figures(
        threshold=DEFAULT_THRESHOLD if detection is None else detection.threshold,
        quality=quality | _over_groups(groups),
        groups=groups,
        latents=latents,
        attributes=vectors,
    )


def _counts(data: TrainingData) -> dict[str, float]:
    counts: dict[str, float] = {}
    for name, part in (("faces", data.faces), ("nonfaces", data.nonfaces)):
        if part is not None:
            counts[f"training_{name}"] = len(part.train)
            counts[f"held_out_{name}"] = len(part.validation)
            counts[f"held_out_{name}_trained_on"] = _trained_on(part)
    return counts


def _trained_on(part: SplitImages) -> int:
    """How many held-out images are in the training part too, under another name."""
    seen = {_fingerprint(part.images[row]) for row in part.train}
    return sum(_fingerprint(part.images[row]) in seen for row in part.validation)


def _fingerprint(image: UInt8) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _detection(
    served: ServedModel, data: TrainingData, max_false_positives: float | None
) -> Detection | None:
    if data.nonfaces is None:
        return None
    return measure_detection(
        served.classify(data.faces.images, data.faces.validation),
        served.classify(data.nonfaces.images, data.nonfaces.validation),
        max_false_positives,
    )


def _degraded(served: ServedModel, data: TrainingData) -> dict[str, float]:
    """The same model on images that are dark, noisy and shifted."""
    if data.nonfaces is None:
        return {}
    faces, others = (_classify_degraded(served, part) for part in (data.faces, data.nonfaces))
    return {f"degraded_{AT_ONE_PERCENT}": rate_at_one_percent(faces, others)}


def _classify_degraded(served: ServedModel, part: SplitImages) -> Float32:
    logits = []
    for start in range(0, len(part.validation), _COPIES):
        copies = degrade(part.images[part.validation[start : start + _COPIES]])
        logits.append(served.classify(copies, np.arange(len(copies))))
    return np.concatenate(logits)


def _over_groups(groups: Sequence[GroupQuality]) -> dict[str, float]:
    rates = {
        f"{group.column}={group.value}": group.true_positive_rate
        for group in groups
        if group.true_positive_rate is not None
    }
    if not rates:
        return {}
    found = spread(rates)
    return {
        "mean_over_groups": found.mean,
        "variance_over_groups": found.variance,
        "worst_group": found.worst_rate,
    }


def _latents(
    served: ServedModel,
    encoded: tuple[Float32, Float32],
    data: TrainingData,
    config: TrainingConfig,
) -> LatentFigures:
    mean, log_variance = encoded
    groups, resampling = data.groups(data.faces.train), config.resampling
    own, bins = None, DEFAULT_BINS
    if resampling.reads == "latents":
        bins = resampling.bins
    if resampling.enabled:
        logit = None
        if resampling.reads == "logits":
            logit = served.classify(data.faces.images, data.faces.train)
        own = face_weights(Encodings(logit, mean, log_variance), data, data.faces.train, resampling)
    return summarise_latents(mean, log_variance, groups, bins=bins, own=own)


def _attributes(
    served: ServedModel,
    train: Float32,
    data: TrainingData,
    config: TrainingConfig,
    asked: Sequence[str] | None,
) -> dict[str, AttributeVector]:
    """Vectors of all columns but those that the decoder is told anyway."""
    columns = config.data.group_columns if asked is None else asked
    wanted = [column for column in columns if column not in config.model.conditions]
    return find_vectors(served, data.faces, train, split_sides(data.labels, wanted))


def _reconstruction(served: ServedModel, data: TrainingData, size: int) -> dict[str, float]:
    images, rows, told = data.faces.images, data.faces.validation, data.conditions
    components = PrincipalComponents.fit(images, data.faces.train, size)
    ours = measure_reconstruction(
        images, rows, lambda batch: served.reconstruct(images[batch], told[batch])
    )
    yardstick = measure_reconstruction(
        images, rows, lambda batch: components.reconstruct(images[batch])
    )
    return {f"reconstruction_{name}": value for name, value in ours.items()} | {
        f"pca_{name}": value for name, value in yardstick.items()
    }


def _groups(
    data: TrainingData, detection: Detection | None, latents: LatentFigures | None
) -> tuple[GroupQuality, ...]:
    train, held_out = data.groups(data.faces.train), data.groups(data.faces.validation)
    nobody = np.zeros(len(data.faces.train), bool), np.zeros(len(data.faces.validation), bool)
    return tuple(
        _group(name, train.get(name, nobody[0]), held_out.get(name, nobody[1]), detection, latents)
        for name in sorted({*train, *held_out})
    )


def _group(
    name: str,
    train: Bools,
    held_out: Bools,
    detection: Detection | None,
    latents: LatentFigures | None,
) -> GroupQuality:
    column, _, value = name.partition("=")
    rate = weighted = None
    if detection is not None and held_out.any():
        rate = float(detection.recognised[held_out].mean())
    if latents is not None:
        weighted = latents.weightings[0].shares.get(name, 0.0)
    return GroupQuality(
        column=column,
        value=value,
        count=int(held_out.sum()),
        true_positive_rate=rate,
        share=float(train.mean()),
        weighted_share=weighted,
    )
