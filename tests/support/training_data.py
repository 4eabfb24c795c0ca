"""Looking at the data of a run."""

import numpy as np
from evenface_training.data import TrainingData


def names(data: TrainingData, part: str) -> list[str]:
    """Names of the faces of `train` or `validation`."""
    return [data.faces.source.files[row] for row in getattr(data.faces, part)]


def group_sizes(data: TrainingData) -> dict[str, int]:
    """Images of each group, of both parts."""
    everybody = np.arange(len(data.faces.images))
    return {name: int(members.sum()) for name, members in data.groups(everybody).items()}


def both_rows(data: TrainingData) -> tuple[set[int], set[int]]:
    """All rows of the faces and of the non-faces."""
    assert data.nonfaces is not None
    faces, others = (
        {*part.train.tolist(), *part.validation.tolist()} for part in (data.faces, data.nonfaces)
    )
    return faces, others
