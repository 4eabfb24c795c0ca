"""What a model makes of faces, as pictures: reconstructions, samples, traversals, rare faces."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from evenface_core.latents import standard_normal, traverse
from evenface_core.manifest import AggregatePosterior
from evenface_core.resampling import Weights
from numpy.typing import NDArray

from evenface_training.data import Int64, TrainingData
from evenface_training.evaluate import decode_all, encode_all
from evenface_training.metrics import group_shares
from evenface_training.models import FaceModel
from evenface_training.report.latents import LatentFacts
from evenface_training.report.tiles import tile

UInt8 = NDArray[np.uint8]

_SEED = 0
_PAIRS = 18
_SAMPLES = 24
_TRAVERSED = 8
_STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_WEIGHTED = 24


@dataclass(frozen=True)
class Pair:
    """A held-out face and its reconstruction from the mean, as data URLs."""

    face: str = field(repr=False)
    reconstruction: str = field(repr=False)


@dataclass(frozen=True)
class Traversal:
    """Decoded latents that differ in one dimension, as data URLs."""

    dimension: int
    steps: Sequence[tuple[str, str]] = field(repr=False)


@dataclass(frozen=True)
class WeightedFace:
    """A training face, how often it is drawn for each draw of an average one, and its groups."""

    picture: str = field(repr=False)
    multiple: float
    groups: Sequence[str]


@dataclass(frozen=True)
class WeightFacts:
    """The training faces weighted by the run's own rule.

    Attributes:
        rule: Its name.
        temper: The exponent that was needed; 1 is none.
        faces: How many were weighted.
        effective: Their effective sample size.
        shares: By group, share by count and by weight.
        rarest: The faces of the highest weights.
        commonest: The faces of the lowest.
    """

    rule: str
    temper: float
    faces: int
    effective: float
    shares: dict[str, tuple[float, float]]
    rarest: Sequence[WeightedFace]
    commonest: Sequence[WeightedFace]


def draw_pairs(model: FaceModel, data: TrainingData, edge: int) -> list[Pair]:
    """Rebuild held-out faces that are chosen at random, the same in every run on these data."""
    held_out = data.faces.validation
    random = np.random.default_rng(_SEED)
    rows = np.sort(random.choice(held_out, min(_PAIRS, len(held_out)), replace=False))
    mean = encode_all(model, data.faces.images, rows).mean
    assert mean is not None  # noqa: S101 - callers leave a cnn out
    rebuilt = decode_all(model, mean, data.conditions[rows])
    faces = data.faces.images[rows]
    return [
        Pair(tile(face, edge), tile(copy, edge)) for face, copy in zip(faces, rebuilt, strict=True)
    ]


def draw_samples(
    model: FaceModel, posterior: AggregatePosterior, edge: int
) -> tuple[list[str], list[str]]:
    """Decode the same noise as N(0, 1) and as the aggregate posterior, as data URLs."""
    eps = standard_normal(_SEED, range(_SAMPLES), len(posterior.mean))
    plain, fitted = (
        [tile(image, edge) for image in decode_all(model, latents)]
        for latents in (eps, posterior.draw(eps))
    )
    return plain, fitted


def draw_traversals(
    model: FaceModel, posterior: AggregatePosterior, latents: LatentFacts, edge: int
) -> list[Traversal]:
    """Vary the most active dimensions around the aggregate posterior's mean."""
    centre = np.array(posterior.mean, np.float32)
    found = []
    for dimension in latents.dimensions[:_TRAVERSED]:
        number = dimension.number
        values = [centre[number] + step * posterior.std[number] for step in _STEPS]
        images = decode_all(model, traverse(centre, number, values))
        steps = [
            (f"{value:+.2f}", tile(image, edge))
            for value, image in zip(values, images, strict=True)
        ]
        found.append(Traversal(number, steps))
    return found


def describe_weights(weights: Weights, data: TrainingData, rows: Int64, edge: int) -> WeightFacts:
    """Describe the weights of training faces.

    Args:
        weights: Of M faces.
        data: Where the faces are.
        rows: int64 [M], which of `data.faces.images` they are.
        edge: Of the tiles.
    """
    groups = data.groups(rows)
    order = np.argsort(weights.values, kind="stable")

    def weighted(place: int) -> WeightedFace:
        return WeightedFace(
            tile(data.faces.images[rows[place]], edge),
            float(weights.values[place]) * len(rows),
            [name for name, members in groups.items() if members[place]],
        )

    return WeightFacts(
        rule=weights.rule,
        temper=weights.temper,
        faces=len(rows),
        effective=weights.effective_sample_size,
        shares=group_shares(weights.values, groups),
        rarest=[weighted(place) for place in order[::-1][:_WEIGHTED]],
        commonest=[weighted(place) for place in order[:_WEIGHTED]],
    )
