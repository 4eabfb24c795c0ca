"""The colorizer of a bundle: a run of its own, attached to a model of grey images."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evenface_core.errors import ExportError
from evenface_training.checkpoint import LoadedModel, load_model

from evenface_export.provenance import portable_config

_FIGURES = {"color_l1": "l1", "color_psnr": "psnr", "color_grey_l1": "grey_l1"}


def load_colorizer(checkpoint: Path, base: LoadedModel) -> LoadedModel:
    """Read a colorizer for a model.

    Args:
        checkpoint: Of its run.
        base: The model whose images it is to colour.

    Raises:
        ExportError: The run is of another kind, or the two do not fit.
        TrainingError: There is no such checkpoint, or it cannot be used.
    """
    loaded = load_model(checkpoint)
    ours, theirs = loaded.config.model, base.config.model
    if not ours.colours:
        raise ExportError(f"--colorizer: a run of kind {ours.kind}; it must be a colorizer")
    if theirs.channels != 1 or not theirs.generates:
        raise ExportError("--colorizer: the model must decode grey images (model.channels 1)")
    if ours.image_size != theirs.image_size:
        raise ExportError(
            f"--colorizer: made for images of {ours.image_size} × {ours.image_size} pixels, the "
            f"model decodes {theirs.image_size} × {theirs.image_size}"
        )
    return loaded


def colour_figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Figures for a bundle, out of a colorizer's validation."""
    return {name: metrics[key] for name, key in _FIGURES.items()}


def describe_colorizer(loaded: LoadedModel, checkpoint: Path) -> dict[str, str]:
    """Say where a colorizer comes from."""
    return {
        "colorizer_config": json.dumps(portable_config(loaded.config)),
        "colorizer_epoch": str(loaded.epoch),
        "colorizer_data_digest": loaded.data_digest,
        "colorizer_checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }
