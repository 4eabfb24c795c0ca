"""The pictures of a run, to be looked at: figures alone do not show a model that has gone wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evenface_core.latents import standard_normal
from evenface_core.manifest import AggregatePosterior
from evenface_core.pictures import grid, save_png
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evenface_training.augmentation import augment
from evenface_training.config import AugmentationConfig, ResamplingConfig
from evenface_training.data import TrainingData
from evenface_training.draws import Draws
from evenface_training.evaluate import (
    decode_all,
    device_of,
    encode_all,
    to_images,
    to_tensor,
)
from evenface_training.files import explained
from evenface_training.models import FaceModel
from evenface_training.models.colouring import luminance
from evenface_training.sampler import face_weights

Float32 = NDArray[np.float32]

_COLUMNS = 12
_ROWS = 4
_SHOWN = 36
_TILE = 128  # pixels that a small image is enlarged to, or nearly
_SEED = 0


def draw_faces(
    folder: Path, model: FaceModel, data: TrainingData, resampling: ResamplingConfig
) -> None:
    """Draw what a `vae` or `dbvae` has learned.

    Writes `reconstructions.png` (held-out faces, each row above its reconstructions),
    `samples.png` (above from N(0, 1), below from the aggregate posterior), `rarest.png` and
    `commonest.png` (training faces by weight).

    Raises:
        TrainingError: A picture cannot be written.
    """
    encodings = encode_all(model, data.faces.images, data.faces.train)
    mean, log_variance = encodings.mean, encodings.log_variance
    assert mean is not None  # noqa: S101 - callers leave a cnn out
    assert log_variance is not None  # noqa: S101 - as above
    _draw_reconstructions(folder / "reconstructions.png", model, data)
    _draw_samples(folder / "samples.png", model, AggregatePosterior.fit(mean, log_variance))
    order = np.argsort(
        face_weights(encodings, data, data.faces.train, resampling).values, kind="stable"
    )
    chosen = {"commonest.png": order[:_SHOWN], "rarest.png": order[::-1][:_SHOWN]}
    for name, rows in chosen.items():
        _save(folder / name, data.faces.images[data.faces.train[rows]])


def draw_augmented(folder: Path, data: TrainingData, config: AugmentationConfig) -> None:
    """Draw training faces above what augmentation makes of them: `augmented.png`, if it is on.

    Raises:
        TrainingError: The picture cannot be written.
    """
    if config == AugmentationConfig():
        return
    originals = data.faces.images[data.faces.train[:_COLUMNS]]
    tensor = to_tensor(originals, torch.device("cpu"))
    draws = Draws.of_all(torch.Generator().manual_seed(_SEED), len(tensor))
    changed = [to_images(augment(tensor, config, draws)) for _ in range(_ROWS)]
    _save(folder / "augmented.png", np.concatenate([originals, *changed]), columns=len(originals))


def draw_colours(folder: Path, model: FaceModel, data: TrainingData) -> None:
    """Draw `colours.png`: held-out faces, each row above its luminance and what was painted on it.

    Args:
        folder: Where.
        model: A `colorizer`, in eval mode.
        data: Its images.

    Raises:
        TrainingError: A picture cannot be written.
    """
    originals = data.faces.images[data.faces.validation[:_COLUMNS]]
    images = to_tensor(originals, device_of(model))
    with torch.inference_mode():
        grey = to_images(luminance(images).expand_as(images))
        painted = to_images(model.paint(images))
    _save(folder / "colours.png", np.concatenate([originals, grey, painted]), len(originals))


def draw_losses(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Draw each term of the loss over the epochs, training and validation in one panel.

    Args:
        path: The PNG file.
        records: Lines of `metrics.jsonl`.

    Raises:
        TrainingError: The picture cannot be written.
    """
    epochs = [record for record in records if record["kind"] == "epoch"]
    names = list(epochs[0]["train"])
    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for part in ("train", "validation"):
            axes.plot(
                [record["epoch"] for record in epochs],
                [record[part][name] for record in epochs],
                marker=".",
                label=part,
            )
        axes.set(title=name, xlabel="epoch")
        axes.legend()
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100)


def _draw_reconstructions(path: Path, model: FaceModel, data: TrainingData) -> None:
    rows = data.faces.validation[: _SHOWN // 2]
    originals = data.faces.images[rows]
    mean = encode_all(model, data.faces.images, rows).mean
    assert mean is not None  # noqa: S101 - callers leave a cnn out
    rebuilt = decode_all(model, mean, data.conditions[rows])
    pairs = [
        part[start : start + _COLUMNS // 2]
        for start in range(0, len(rows), _COLUMNS // 2)
        for part in (originals, rebuilt)
    ]
    _save(path, np.concatenate(pairs), columns=min(_COLUMNS // 2, len(rows)))


def _draw_samples(path: Path, model: FaceModel, posterior: AggregatePosterior) -> None:
    eps = standard_normal(_SEED, range(2 * _COLUMNS), len(posterior.mean))
    _save(path, np.concatenate([decode_all(model, z) for z in (eps, posterior.draw(eps))]))


def _save(path: Path, images: NDArray[np.uint8], columns: int = _COLUMNS) -> None:
    with explained(path):
        save_png(path, grid(images, columns, scale=max(1, _TILE // images.shape[1])))
