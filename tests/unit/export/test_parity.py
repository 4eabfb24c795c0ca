from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import pytest
from evenface_core.errors import ExportError
from evenface_core.manifest import FunctionName
from evenface_export.graphs import Graph, export_graphs
from evenface_export.parity import (
    BATCHES,
    TOLERANCES,
    Deviation,
    measure_graphs,
    require_parity,
    worst_by_output,
)
from evenface_export.sessions import UInt8
from evenface_training.models import FaceModel
from onnx import numpy_helper

Graphs = Mapping[FunctionName, Graph]


def _perturbed(graph: Graph) -> Graph:
    """The graph with the weights that come last scaled by 1.2 and moved by 0.1."""
    proto = onnx.load_from_string(graph.data)
    weights = [tensor for tensor in proto.graph.initializer if len(tensor.dims) > 1][-1]
    weights.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(weights) * 1.2 + 0.1, weights.name)
    )
    return replace(graph, data=proto.SerializeToString())


def test_exported_graphs_agree_with_torch_at_every_batch_size(
    model: FaceModel, graphs: Graphs, images: UInt8
) -> None:
    deviations = measure_graphs(model, graphs, images)
    require_parity(deviations)
    outputs = {"mean", "log_variance", "images", "logits"}
    assert {(d.output, d.batch) for d in deviations} == {(o, b) for o in outputs for b in BATCHES}
    assert all(d.error < TOLERANCES["fp32"] for d in deviations if d.output != "images")


def test_graphs_in_fp16_agree_less_well_and_well_enough(model: FaceModel, images: UInt8) -> None:
    deviations = measure_graphs(model, export_graphs(model, "fp16"), images, "fp16")
    require_parity(deviations)
    floats = [each.error for each in deviations if each.output != "images"]
    assert 1e-5 < max(floats) < TOLERANCES["fp16"]


@pytest.mark.parametrize("function", ["encode", "decode", "classify"])
def test_a_broken_graph_is_refused_by_name(
    function: FunctionName, model: FaceModel, graphs: Graphs, images: UInt8
) -> None:
    broken = {**graphs, function: _perturbed(graphs[function])}
    with pytest.raises(ExportError, match=rf"^{function}: .* at batch \d+; tolerance"):
        require_parity(measure_graphs(model, broken, images))


def test_a_model_that_computes_no_numbers_is_refused(
    model: FaceModel, graphs: Graphs, images: UInt8
) -> None:
    next(reversed(list(model.encoder.parameters()))).data.fill_(float("nan"))
    with pytest.raises(ExportError, match="nan"):
        require_parity(measure_graphs(model, {"classify": graphs["classify"]}, images))


def test_an_image_may_be_one_level_off_but_not_two() -> None:
    require_parity([Deviation("decode", "images", "fp32", 2, 1.0)])
    with pytest.raises(ExportError, match=r"decode: 'images' .* by 2 at batch 7; tolerance 1;"):
        require_parity([Deviation("decode", "images", "fp32", 7, 2.0)])


@pytest.mark.parametrize(("output", "error"), [("mean", 0.02), ("images", 3.0)])
def test_graphs_in_fp16_have_limits_of_their_own(output: str, error: float) -> None:
    require_parity([Deviation("encode", output, "fp16", 2, error / 2)])
    with pytest.raises(ExportError, match=rf"'{output}' differs"):
        require_parity([Deviation("encode", output, "fp16", 2, error)])


def test_few_images_are_repeated_to_fill_the_largest_batch(
    model: FaceModel, graphs: Graphs, images: UInt8
) -> None:
    require_parity(measure_graphs(model, graphs, images[:3]))


def test_the_worst_of_an_output_is_over_its_batch_sizes() -> None:
    errors = [Deviation("encode", "mean", "fp32", b, e) for b, e in ((1, 1e-6), (7, 3e-6))]
    assert worst_by_output(errors) == {("fp32", "encode", "mean"): 3e-6}


def test_an_error_that_is_no_number_is_kept_as_the_worst() -> None:
    errors = [Deviation("encode", "mean", "fp32", b, e) for b, e in ((1, np.nan), (7, 3e-6))]
    assert np.isnan(worst_by_output(errors)["fp32", "encode", "mean"])
