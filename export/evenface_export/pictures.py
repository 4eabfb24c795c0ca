"""Pictures of what a bundle's model does, made with its own graphs.

Those that hold images of the data set lie in a folder of their own, `originals`, because the
images of a data set are often not ours to publish.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from evenface_core.latents import standard_normal, traverse
from evenface_core.pictures import grid, save_png
from evenface_training.data import TrainingData

from evenface_export.figures import Figures
from evenface_export.latent_figures import LatentFigures
from evenface_export.sessions import Int64, ServedModel, UInt8

ORIGINALS = "originals"

_COLUMNS = 8
_SHOWN = 32
_TILE = 96  # pixels that a small image is enlarged to, in whole steps
_DIMENSIONS = 8
_DEVIATIONS = np.linspace(-3.0, 3.0, 9)
_SEED = 0


def draw_pictures(
    folder: Path, served: ServedModel, data: TrainingData, figures: Figures
) -> list[Path]:
    """Draw what the model does.

    Without images of the data set: `samples.png` (from the aggregate posterior), `traversal.png`
    (each row one of the dimensions that tell most, from -3 to 3 deviations) and, where there are
    attribute vectors, `attributes.png` (each row one of them, from -2 to 2 times its length, added
    to the mean), of a conditional model `conditions.png` (each row one of them, from -1 to 1, at
    the mean), with a colorizer `colours.png` (the samples, coloured). With them, under
    `originals`: `reconstructions.png` (held-out faces, each row above its reconstructions),
    `rarest.png` and `commonest.png` (training faces by the lab's weights).

    Args:
        folder: Where.
        served: The model; it has latents.
        data: The images.
        figures: Of the model.

    Returns:
        The files written.

    Raises:
        OSError: A file cannot be written.
    """
    latents = figures.latents
    assert latents is not None  # noqa: S101 - for the type checker
    order = np.argsort(latents.weightings[0].weights.values, kind="stable")
    faces, train = data.faces.images, data.faces.train
    pages = {
        "samples.png": _page(_samples(served, latents), _COLUMNS),
        "traversal.png": _page(_traversal(served, latents), len(_DEVIATIONS)),
        f"{ORIGINALS}/reconstructions.png": _reconstructions(
            served, data, data.faces.validation[:_SHOWN]
        ),
        f"{ORIGINALS}/rarest.png": _page(faces[train[order[::-1][:_SHOWN]]], _COLUMNS),
        f"{ORIGINALS}/commonest.png": _page(faces[train[order[:_SHOWN]]], _COLUMNS),
    }
    if figures.attributes:
        vectors = [found.values for found in figures.attributes.values()]
        pages["attributes.png"] = _page(_attributes(served, latents, vectors), _COLUMNS + 1)
    if conditions := data.conditions.shape[1]:
        pages["conditions.png"] = _page(_conditions(served, latents, conditions), _COLUMNS + 1)
    if served.colours:
        pages["colours.png"] = _page(served.colorize(_samples(served, latents)), _COLUMNS)
    for name, page in pages.items():
        save_png(folder / name, page)
    return [folder / name for name in pages]


def _samples(served: ServedModel, latents: LatentFigures) -> UInt8:
    noise = standard_normal(_SEED, range(_SHOWN), len(latents.posterior.mean))
    return served.decode(latents.posterior.draw(noise))


def _traversal(served: ServedModel, latents: LatentFigures) -> UInt8:
    centre = np.array(latents.posterior.mean, np.float32)
    activity = latents.activity
    rows = [
        traverse(centre, int(dimension), centre[dimension] + activity[dimension] * _DEVIATIONS)
        for dimension in np.argsort(activity)[::-1][:_DIMENSIONS]
    ]
    return served.decode(np.concatenate(rows))


def _attributes(
    served: ServedModel, latents: LatentFigures, vectors: Sequence[Sequence[float]]
) -> UInt8:
    centre = np.array(latents.posterior.mean, np.float32)
    steps = np.linspace(-2, 2, _COLUMNS + 1, dtype=np.float32)[:, None]
    rows = [centre + steps * np.array(vector, np.float32) for vector in vectors]
    return served.decode(np.concatenate(rows))


def _conditions(served: ServedModel, latents: LatentFigures, count: int) -> UInt8:
    steps = np.linspace(-1, 1, _COLUMNS + 1, dtype=np.float32)[:, None]
    asked = np.concatenate([steps * one for one in np.eye(count, dtype=np.float32)])
    centre = np.array(latents.posterior.mean, np.float32)
    return served.decode(np.tile(centre, (len(asked), 1)), asked)


def _reconstructions(served: ServedModel, data: TrainingData, rows: Int64) -> UInt8:
    columns = min(_COLUMNS, len(rows))
    shown = rows[: len(rows) // columns * columns]  # whole rows alone
    originals = data.faces.images[shown]
    rebuilt = served.reconstruct(originals, data.conditions[shown])
    pairs = [
        part[start : start + columns]
        for start in range(0, len(originals), columns)
        for part in (originals, rebuilt)
    ]
    return _page(np.concatenate(pairs), columns)


def _page(images: UInt8, columns: int) -> UInt8:
    return grid(images, columns, scale=max(1, _TILE // images.shape[1]))
