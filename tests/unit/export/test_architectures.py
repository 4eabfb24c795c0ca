"""Every architecture, here conditional, through folding and the parity gate."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from evenface_core.errors import ExportError
from evenface_core.manifest import TensorSpec
from evenface_export.graphs import Precision, export_graphs
from evenface_export.parity import BATCHES, measure_graphs, require_parity
from evenface_export.sessions import ServedModel, UInt8
from evenface_training.config import ModelConfig
from evenface_training.evaluate import decode_all
from evenface_training.models import FaceModel
from onnx import numpy_helper

MakeModel = Callable[[ModelConfig], FaceModel]

SHAPES = {
    "lab": {"image_size": 32, "channels": 3},
    "mlp": {"image_size": 30, "channels": 1, "hidden_size": 64},
    "conv30": {"image_size": 30, "channels": 1, "n_filters": 10},
    "vae112": {"image_size": 112, "channels": 3},
    "residual": {"image_size": 128, "channels": 3},
}


def _config(architecture: str, conditions: tuple[str, ...] = ()) -> ModelConfig:
    small = {"latent_size": 8, "n_filters": 4, "hidden_size": 16, "kind": "dbvae"}
    values = {"architecture": architecture, "conditions": conditions}
    return ModelConfig.model_validate({**small, **SHAPES[architecture], **values})


def _images(config: ModelConfig) -> UInt8:
    shape = (32, config.image_size, config.image_size, config.channels)
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("architecture", list(SHAPES))
def test_graphs_of_every_architecture_agree_with_torch_at_every_batch_size(
    architecture: str, precision: Precision, make_model: MakeModel
) -> None:
    config = _config(architecture, ("hat", "beard", "smile"))
    model = make_model(config)
    deviations = measure_graphs(model, export_graphs(model, precision), _images(config), precision)
    require_parity(deviations)
    outputs = {"mean", "log_variance", "images", "logits"}
    assert {(d.output, d.batch) for d in deviations} == {(o, b) for o in outputs for b in BATCHES}


def test_a_conditional_decoder_is_described_as_the_runtime_expects_it(
    make_model: MakeModel,
) -> None:
    graphs = export_graphs(make_model(_config("lab", ("hat", "beard"))))
    assert graphs["decode"].function.inputs == (
        TensorSpec(name="latents", dtype="float32", shape=("batch", 8)),
        TensorSpec(name="conditions", dtype="float32", shape=("batch", 2)),
    )
    assert [spec.name for spec in graphs["encode"].function.inputs] == ["images"]


def test_a_decoder_that_mixes_its_conditions_up_is_refused(make_model: MakeModel) -> None:
    config = _config("lab", ("hat", "beard"))
    model = make_model(config)
    graphs = export_graphs(model)
    require_parity(measure_graphs(model, graphs, _images(config)))
    proto = onnx.load_from_string(graphs["decode"].data)
    first = next(t for t in proto.graph.initializer if 10 in t.dims)  # 8 latents, 2 conditions
    weights = numpy_helper.to_array(first)
    order = [*range(8), 9, 8]
    mixed = weights[order] if weights.shape[0] == 10 else weights[:, order]
    first.CopyFrom(numpy_helper.from_array(mixed, first.name))
    spoiled = {**graphs, "decode": replace(graphs["decode"], data=proto.SerializeToString())}
    with pytest.raises(ExportError, match="decode: 'images' differs"):
        require_parity(measure_graphs(model, spoiled, _images(config)))


def test_conditions_left_out_are_zeros(make_model: MakeModel) -> None:
    model = make_model(_config("lab", ("hat", "beard")))
    served = ServedModel(export_graphs(model))
    latents = np.random.default_rng(0).standard_normal((3, 8), np.float32)
    asked = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    plain, told = served.decode(latents), served.decode(latents, asked)
    np.testing.assert_array_equal(plain[0], told[0])
    assert (plain[1:] != told[1:]).any(axis=(1, 2, 3)).all()
    assert np.abs(told.astype(int) - decode_all(model, latents, asked)).max() <= 1
