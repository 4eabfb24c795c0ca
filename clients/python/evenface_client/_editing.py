"""What `edit` does, as an operation (see `_operations`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evenface_client import _requests, results
from evenface_client._inputs import Images
from evenface_client._operations import Knowledge, Operation, decode, encode, latent_rows
from evenface_client._requests import Target, Wanted
from evenface_client.errors import InvalidRequest


@dataclass(frozen=True)
class Change:
    """What to edit, and how far; see `Client.edit`."""

    images: Images | None
    latents: ArrayLike | None
    attributes: Mapping[str, float]
    steps: int
    color: bool

    def __post_init__(self) -> None:
        if (self.images is None) == (self.latents is None):
            raise InvalidRequest("images", "pass either images or latents")
        if not self.attributes:
            raise InvalidRequest("attributes", "none were passed; pass at least one")
        if self.steps < 1:
            raise InvalidRequest("steps", f"{self.steps} is below 1")
        _requests.attribute_messages(self.attributes, 1)

    def strengths(self) -> Iterator[Mapping[str, float]]:
        """The attributes at each step; those of the last are the ones asked for."""
        for step in range(1, self.steps + 1):
            yield {name: value * step / self.steps for name, value in self.attributes.items()}


def edit(knowledge: Knowledge, target: Target, change: Change) -> Operation[results.Edited]:
    """Encode images, or take latents, and decode them as they are and changed."""
    if change.images is not None:
        encoded = yield from encode(knowledge, target, change.images, Wanted())
        latents, target = encoded.mean, Target(encoded.model.name, encoded.model.version)
    else:
        latents = latent_rows(change.latents).astype(np.float32)
    changed: list[results.Decoded] = []
    for attributes in change.strengths():
        decoded = yield from decode(knowledge, target, latents, attributes, color=change.color)
        target = Target(decoded.model.name, decoded.model.version)
        changed.append(decoded)
    before = yield from decode(knowledge, target, latents, None, color=change.color)
    images = np.stack([decoded.images for decoded in changed], axis=1)
    return results.Edited(before.images, images, latents, before.model)
