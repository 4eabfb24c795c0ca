"""Histograms as files: .npz with `edges` and `counts`. Needs numpy alone."""

from typing import IO
from zipfile import BadZipFile

import numpy as np

from evenface_core.errors import InvalidInput
from evenface_core.resampling import LatentHistogram


def write_histogram(file: IO[bytes], histogram: LatentHistogram) -> None:
    """Write a histogram into a file that is open."""
    np.savez(file, edges=histogram.edges, counts=histogram.counts)


def read_histogram(file: IO[bytes], name: str) -> LatentHistogram:
    """Read what `write_histogram` wrote.

    Args:
        file: Open, at its beginning.
        name: What to call it in an error.

    Raises:
        InvalidInput: It holds something else, or numbers that make no histogram.
        OSError: It cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return LatentHistogram(arrays["edges"], arrays["counts"])
    except (ValueError, KeyError, EOFError, BadZipFile, TypeError, AttributeError) as error:
        raise InvalidInput(name, f"not a histogram of --histogram-out ({error})") from error
