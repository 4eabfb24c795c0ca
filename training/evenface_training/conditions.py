"""From label columns to the numbers that a conditional model is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from evenface_core.errors import DataError
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_ALLOWED = ("-1", "0", "1")


def read_conditions(
    labels: Mapping[str, Sequence[str] | NDArray[np.str_]],
    columns: Sequence[str],
    files: Sequence[str],
    source: Path | None,
) -> Float32:
    """Take label columns for conditions; a value is told as it stands in the file.

    Args:
        labels: N values by column.
        columns: K columns, each of -1, 0 and 1.
        files: N paths, for errors.
        source: The labels file, for errors.

    Returns:
        float32 [N, K].

    Raises:
        DataError: A value is missing or another; names the labels file, the image and the column.
    """
    conditions = np.zeros((len(files), len(columns)), np.float32)
    for place, column in enumerate(columns):
        values = np.array(labels[column])
        wrong = np.flatnonzero(~np.isin(values, _ALLOWED))
        if len(wrong):
            raise DataError(
                f"{source}: column '{column}' of {files[wrong[0]]} is '{values[wrong[0]]}', and "
                f"so for {len(wrong)} of {len(files)} images; as a condition it must be one of "
                f"{', '.join(_ALLOWED)}"
            )
        conditions[:, place] = values.astype(np.float32)
    return conditions
