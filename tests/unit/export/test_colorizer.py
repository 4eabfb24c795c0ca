"""A colorizer through folding and the parity gate, and the models that it goes with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import ExportError
from evenface_core.manifest import TensorSpec
from evenface_export.colorizer import load_colorizer
from evenface_export.graphs import Precision, export_graphs
from evenface_export.parity import BATCHES, measure_graphs, require_parity
from evenface_export.sessions import ServedModel
from evenface_training.checkpoint import Checkpoint, LoadedModel, Progress, save_checkpoint
from evenface_training.config import ModelConfig, TrainingConfig
from evenface_training.evaluate import to_images, to_tensor
from evenface_training.models import FaceModel, build_model
from torch import device

MakeModel = Callable[[ModelConfig], FaceModel]

SIZE = 30
COLORIZER = {
    "kind": "colorizer",
    "architecture": "colouring",
    "image_size": SIZE,
    "channels": 3,
    "n_filters": 4,
}
GREY = {"kind": "vae", "architecture": "mlp", "image_size": SIZE, "channels": 1, "hidden_size": 8}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_its_graph_agrees_with_torch_at_every_batch_size(
    precision: Precision, make_model: MakeModel
) -> None:
    model = make_model(ModelConfig.model_validate(COLORIZER))
    grey = np.random.default_rng(0).integers(0, 256, (32, SIZE, SIZE, 1), np.uint8)
    graphs = export_graphs(model, precision)
    deviations = measure_graphs(model, graphs, grey, precision)
    require_parity(deviations)
    assert {(item.output, item.batch) for item in deviations} == {("painted", b) for b in BATCHES}
    function = graphs["colorize"].function
    assert function.inputs == (
        TensorSpec(name="images", dtype="uint8", shape=("batch", SIZE, SIZE, 1)),
    )
    painted = ServedModel(graphs).colorize(grey)
    assert model.decoder is not None
    expected = to_images(model.decoder(to_tensor(grey, device("cpu"))))
    assert np.abs(painted.astype(int) - expected).max() <= (1 if precision == "fp32" else 2)
    assert (painted.max(axis=-1) > painted.min(axis=-1)).any()


def saved(folder: Path, **model: object) -> Path:
    config = TrainingConfig.model_validate(
        {"name": "x", "model": model, "data": {"faces": "faces"}}
    )
    weights = build_model(config.model, 0).state_dict()
    tensors = {f"averaged.{name}": tensor for name, tensor in weights.items()}
    metrics = {"l1": 0.1, "psnr": 20.0, "grey_l1": 0.2}
    checkpoint = Checkpoint(config, Progress(metrics=metrics), "0", tensors)
    save_checkpoint(folder / "x.safetensors", checkpoint)
    return folder / "x.safetensors"


def base(**model: object) -> LoadedModel:
    values = {"name": "x", "model": model, "data": {"faces": "faces"}}
    config = TrainingConfig.model_validate(values)
    return LoadedModel(build_model(config.model, 0), config, 1, "0", {})


def test_it_goes_with_a_model_of_grey_images_of_its_size(tmp_path: Path) -> None:
    found = load_colorizer(saved(tmp_path, **COLORIZER), base(**GREY))
    assert found.config.model.colours


@pytest.mark.parametrize(
    ("colorizer", "model", "problem"),
    [
        (GREY, GREY, "--colorizer: a run of kind vae; it must be a colorizer"),
        (COLORIZER, {**GREY, "channels": 3}, "the model must decode grey images"),
        ({**COLORIZER, "image_size": 32}, GREY, "images of 32 × 32 pixels, the model decodes 30"),
    ],
)
def test_it_is_refused_with_any_other(
    tmp_path: Path, colorizer: dict[str, object], model: dict[str, object], problem: str
) -> None:
    with pytest.raises(ExportError, match=problem):
        load_colorizer(saved(tmp_path, **colorizer), base(**model))
