"""Attribute vectors: directions in the latent space along which labelled faces part.

Two moves are tried: along the normal of a linear discriminant, and by the difference of the means,
which differ in all that happens to go along with a label, too. Both are scaled until the encoder
finds the attribute in what was decoded, and the one that changes images less is kept
(docs/models.md has figures).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from evenface_core.errors import ExportError
from evenface_core.manifest import AttributeQuality
from evenface_training import metrics
from evenface_training.data import SplitImages
from evenface_training.sources.columns import LabelColumn
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from evenface_export.sessions import Float32, Int64, UInt8

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]

LEAST_MEMBERS = 20  # of both sides, for a direction between them to mean something
MOST_VALUES = 50  # of a column of texts

_YES, _NO = frozenset({"1", "true"}), (frozenset({"0", "false"}), frozenset({"-1"}))
_MOST_FITTED = 50_000  # faces a side: more make no direction better
_TRIALS = 128  # faces that the scale is measured with
_SCALES = (0.25, 8.0)
_TWO = 2
_LEAST_CLOSED = 0.5


class Coder(Protocol):
    """Encodes and decodes, as `sessions.ServedModel` does."""

    def encode(self, images: UInt8, rows: Int64) -> tuple[Float32, Float32]:
        """Images to mean and log-variance."""

    def decode(self, latents: Float32) -> UInt8:
        """Latents to images."""


@dataclass(frozen=True)
class Sides:
    """The faces that have an attribute and those that have not; unknown ones are on neither.

    Attributes:
        positive: bool [N].
        negative: bool [N].
    """

    positive: Bools = field(repr=False)
    negative: Bools = field(repr=False)

    def of(self, rows: Int64) -> "Sides":
        """The sides of some of the faces, in this order."""
        return Sides(self.positive[rows], self.negative[rows])


@dataclass(frozen=True)
class AttributeVector:
    """A direction with its length: strength 1 makes a typical negative a typical positive.

    Attributes:
        values: D numbers.
        quality: What it is worth.
    """

    values: tuple[float, ...] = field(repr=False)
    quality: AttributeQuality


def split_sides(labels: Mapping[str, LabelColumn], columns: Sequence[str]) -> dict[str, Sides]:
    """Take attributes out of label columns.

    A column of 1 and 0, 1 and -1 or true and false is one attribute of its name. Of one with more
    than 50 numbers, those above their median have the attribute. Of one with two values, the rarer
    is the attribute. Else each value is one, against all other values.

    Args:
        labels: Columns of N rows by name; "" is unknown.
        columns: Which of them.

    Returns:
        By attribute, such as `smiling` or `tone-color`.

    Raises:
        ExportError: There is no such column, or its values are too many.
    """
    found: dict[str, Sides] = {}
    for column in columns:
        if column not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise ExportError(f"attributes: no label column '{column}'; there are {known}")
        for name, sides in _sides_of(column, labels[column]).items():
            found[attribute_name(name)] = sides
    return found


def find_vectors(
    coder: Coder, faces: SplitImages, train: Float32, attributes: Mapping[str, Sides]
) -> dict[str, AttributeVector]:
    """Find the vector of each attribute that has at least 20 training faces on both sides.

    Args:
        coder: The model.
        faces: The images; the held-out part tells what a vector is worth.
        train: float32 [T, D], the latents of the training part.
        attributes: Of `split_sides`.
    """
    if not attributes:
        return {}
    held_out, _ = coder.encode(faces.images, faces.validation)
    found: dict[str, AttributeVector] = {}
    for name, sides in attributes.items():
        learned, unseen = sides.of(faces.train), sides.of(faces.validation)
        if min(learned.positive.sum(), learned.negative.sum()) >= LEAST_MEMBERS:
            found[name] = _find(coder, train, held_out, learned, unseen)
    return found


def discriminant(positives: Float32, negatives: Float32) -> Float64:
    """The normal w = S⁻¹ (m₁ - m₀) of Fisher's linear discriminant, float64 [D].

    S is the covariance within the classes, shrunk towards a multiple of the identity by the amount
    of Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    J. Multivariate Analysis 88, 2004, so that fewer faces than dimensions will do.

    Args:
        positives: float32 [P, D].
        negatives: float32 [Q, D].
    """
    centres = [part.mean(axis=0, dtype=np.float64) for part in (positives, negatives)]
    within = np.concatenate(
        [part - centre for part, centre in zip((positives, negatives), centres, strict=True)]
    )
    covariance, _ = ledoit_wolf(within, assume_centered=True)
    normal: Float64 = np.linalg.solve(covariance, centres[0] - centres[1])
    return normal


def attribute_name(group: str) -> str:
    """Name a group's attribute: `gender=F` becomes `gender-f`."""
    return re.sub(r"[^a-z0-9._]+", "-", group.lower()).strip("-")


def _sides_of(column: str, values: LabelColumn) -> dict[str, Sides]:
    known = sorted({values.values[code] for code in np.unique(values.codes)} - {""})
    words = {value.lower() for value in known}
    if any(words <= _YES | no for no in _NO):
        yes = np.isin(np.char.lower(values.texts()), list(_YES))
        return {column: Sides(yes, ~yes & ~values.members(""))}
    if len(known) > MOST_VALUES:
        return {column: _halves(column, values, len(known))}
    everyone = ~values.members("")
    members = {value: values.members(value) for value in known}
    if len(members) == _TWO:  # the commoner one's vector would be this one's mirror image
        rarer = min(members, key=lambda value: int(members[value].sum()))
        members = {rarer: members[rarer]}
    return {f"{column}={value}": Sides(m, everyone & ~m) for value, m in members.items()}


def _halves(column: str, values: LabelColumn, count: int) -> Sides:
    try:
        numbers = np.array([float(text) if text else np.nan for text in values.values])
    except ValueError:
        raise ExportError(
            f"attributes: column '{column}' has {count} values, which are no numbers; at most "
            f"{MOST_VALUES} texts make attributes"
        ) from None
    each = numbers[values.codes]
    middle = np.nanmedian(each)
    return Sides(each > middle, each <= middle)


def _find(
    coder: Coder, train: Float32, held_out: Float32, learned: Sides, unseen: Sides
) -> AttributeVector:
    positives, negatives = (_some(train[side]) for side in (learned.positive, learned.negative))
    means = positives.mean(axis=0, dtype=np.float64) - negatives.mean(axis=0, dtype=np.float64)
    normal = discriminant(positives, negatives)
    unit = normal / np.linalg.norm(normal)
    trial = _Trial(coder, negatives[:: -(-len(negatives) // _TRIALS)], unit, float(unit @ means))
    return AttributeVector(
        values=tuple(trial.best(unit * trial.gap, means).astype(np.float32).tolist()),
        quality=AttributeQuality(
            auc=_auc((held_out @ unit).astype(np.float64), unseen),
            positives=int(learned.positive.sum()),
            negatives=int(learned.negative.sum()),
            held_out_positives=int(unseen.positive.sum()),
            held_out_negatives=int(unseen.negative.sum()),
        ),
    )


class _Trial:
    """What a move does to typical negatives once they are decoded and encoded again.

    Args:
        coder: The model.
        latents: float32 [N, D], of the negatives.
        unit: float64 [D], the discriminant's direction.
        gap: How far negatives and positives are apart along it.
    """

    def __init__(self, coder: Coder, latents: Float32, unit: Float64, gap: float) -> None:
        self._coder, self._latents, self._unit, self.gap = coder, latents, unit, gap
        self._images, self._places = self._seen(np.zeros_like(unit))

    def best(self, *moves: Float64) -> Float64:
        """Scale moves so that they close the gap; return the one that changes the images least.

        Where none closes half of it, the last is returned as it is.
        """
        scaled = [self._scale(move) * move for move in moves]
        costs = [self._cost(move) for move in scaled]
        cheapest = int(np.argmin(costs))
        return scaled[cheapest] if np.isfinite(costs[cheapest]) else moves[-1]

    def _scale(self, move: Float64) -> float:
        """How often a move must be gone: an encoder gives a part of it back alone."""
        scale = 1.0
        for _ in range(2):  # what comes back is nearly linear in the strength
            share = max(self._closed(scale * move), scale / _SCALES[1])
            scale = float(np.clip(scale / share, *_SCALES))
        return scale

    def _closed(self, move: Float64) -> float:
        """The share of the gap that a move closes."""
        return float((self._seen(move)[1] - self._places).mean()) / self.gap

    def _cost(self, move: Float64) -> float:
        """The mean square of what a move changes in the images."""
        images, places = self._seen(move)
        if (places - self._places).mean() < _LEAST_CLOSED * self.gap:
            return float("inf")
        return float(np.square(images.astype(np.float32) - self._images).mean())

    def _seen(self, move: Float64) -> tuple[UInt8, NDArray[np.floating]]:
        """The images of moved latents, and where the encoder places them along the direction."""
        images = self._coder.decode(self._latents + move.astype(np.float32))
        mean, _ = self._coder.encode(images, np.arange(len(images)))
        return images, mean @ self._unit


def _auc(scores: NDArray[np.floating], sides: Sides) -> float | None:
    if not sides.positive.any() or not sides.negative.any():
        return None
    return metrics.auc(scores[sides.positive], scores[sides.negative])


def _some(rows: Float32) -> Float32:
    return rows[:: -(-len(rows) // _MOST_FITTED)]
