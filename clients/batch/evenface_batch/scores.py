"""The seam between a job and a model: encoded images in, scores out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """What a model says of N images.

    Attributes:
        means: float32 [N, D]; a row of an image with an error is ignored.
        logits: Of "face", float32 [N]; None where the model does not classify.
        errors: Of each image: None, or why it could not be scored, in one line.
    """

    means: Float32 = field(repr=False)
    logits: Float32 | None = field(repr=False)
    errors: Sequence[str | None]


class Scorer(Protocol):
    """A model in reach: in this process, or behind a connection."""

    def score(self, images: Sequence[bytes]) -> Scores:
        """Score encoded images (JPEG, PNG, WebP), at most a few dozen.

        An image that cannot be used has an error; it spoils no other.

        Raises:
            EvenfaceError: Nothing can be scored at all, and trying again would not help.
        """
