"""Attributes by name to what a decoder takes: conditions, or shifts along attribute vectors.

Transport-free.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from evenface_core.errors import FunctionUnsupported, InvalidInput
from evenface_core.manifest import Manifest
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_MAX_LISTED = 50


def apply_attributes(
    manifest: Manifest, latents: Float32, attributes: Sequence[Mapping[str, float]]
) -> tuple[Float32, ...]:
    """Turn latents and attributes into the decoder's inputs.

    Args:
        manifest: Of the model.
        latents: float32 [N, D].
        attributes: None, one for all latents, or one for each.

    Returns:
        The latents, moved by value × vector for each attribute vector named; for a conditional
        model also the conditions, float32 [N, K], 0 where not named.

    Raises:
        InvalidInput: The number of attributes is wrong, a name is unknown, or a value or a latent
            moved by it not finite.
        FunctionUnsupported: The model knows no attributes.
    """
    _check(manifest, len(latents), attributes)
    conditions = np.zeros((len(latents), len(manifest.conditions)), np.float32)
    moved = latents.copy() if attributes else latents
    with np.errstate(over="ignore", invalid="ignore"):  # found out below
        for rows, name, value in _each_value(attributes):
            if name in manifest.attribute_vectors:
                vector = np.array(manifest.attribute_vectors[name], np.float32)
                moved[rows] += np.float32(value) * vector
            else:
                conditions[rows, manifest.conditions.index(name)] = value
    if not np.isfinite(moved).all():
        raise InvalidInput("attributes", "so large that latents moved by them are not finite")
    return (moved, conditions) if manifest.conditions else (moved,)


def _check(manifest: Manifest, count: int, attributes: Sequence[Mapping[str, float]]) -> None:
    if len(attributes) not in (0, 1, count):
        raise InvalidInput(
            "attributes",
            f"{len(attributes)} given for {count} images; none, one or {count} are allowed",
            value=len(attributes),
            limit=count,
        )
    for index, values in enumerate(attributes):
        for name, value in values.items():
            _check_value(manifest, index, name, value)


def _check_value(manifest: Manifest, index: int, name: str, value: float) -> None:
    if not manifest.attributes:
        raise FunctionUnsupported(f"model '{manifest.name}' knows no attributes")
    if name not in manifest.attributes:
        known = ", ".join(manifest.attributes[:_MAX_LISTED])
        raise InvalidInput(
            "attributes",
            f"'{name[:100]}' is unknown; known: {known}",
            index=index,
            value=name[:100],
        )
    if not math.isfinite(value):
        raise InvalidInput(
            "attributes", f"'{name}' is {value}, which is not finite", index=index, value=value
        )


def _each_value(
    attributes: Sequence[Mapping[str, float]],
) -> Iterator[tuple[slice, str, float]]:
    everyone = len(attributes) == 1
    for index, values in enumerate(attributes):
        for name, value in values.items():
            yield slice(None) if everyone else slice(index, index + 1), name, value
