from collections.abc import Mapping

import onnx
import pytest
import torch
from evenface_core.errors import ExportError
from evenface_core.manifest import FunctionName
from evenface_export.graphs import Graph, Precision, check_graph, export_graph, export_graphs
from evenface_export.modules import build_modules
from evenface_training.config import Kind
from evenface_training.models import FaceModel, build_model
from onnx import TensorProto, helper
from torch import Tensor, nn

Graphs = Mapping[FunctionName, Graph]


def _one_operator(op: str, domain: str = "") -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], domain=domain)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    return helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]))


@pytest.mark.parametrize(
    ("kind", "functions"),
    [
        ("cnn", {"classify"}),
        ("vae", {"encode", "decode"}),
        ("dbvae", {"encode", "decode", "classify"}),
    ],
)
def test_each_kind_has_its_functions(kind: Kind, functions: set[str], model: FaceModel) -> None:
    config = model.config.model_copy(update={"kind": kind})
    assert set(build_modules(build_model(config, seed=0))) == functions


def test_weights_are_of_the_precision_asked_for(model: FaceModel) -> None:
    wanted: dict[Precision, int] = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}
    for precision, dtype in wanted.items():
        for graph in export_graphs(model, precision).values():
            tensors = onnx.load_from_string(graph.data).graph.initializer
            assert {each.data_type for each in tensors if len(each.dims) > 1} == {dtype}


def test_graphs_hold_standard_operators_and_no_batch_norm(graphs: Graphs) -> None:
    for graph in graphs.values():
        nodes = onnx.load_from_string(graph.data).graph.node
        assert {node.domain for node in nodes} == {""}
        assert not {node.op_type for node in nodes} & {"BatchNormalization", "Div"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_inputs_and_outputs_are_those_that_the_manifest_names_in_either_precision(
    precision: Precision, model: FaceModel
) -> None:
    graphs = export_graphs(model, precision)
    types = {int(TensorProto.UINT8): "uint8", int(TensorProto.FLOAT): "float32"}
    for graph in graphs.values():
        proto = onnx.load_from_string(graph.data).graph
        for values, specs in (
            (proto.input, graph.function.inputs),
            (proto.output, graph.function.outputs),
        ):
            found = [
                (
                    value.name,
                    types[value.type.tensor_type.elem_type],
                    tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
                )
                for value in values
            ]
            assert found == [(spec.name, spec.dtype, spec.shape) for spec in specs]


def test_graphs_say_nothing_of_the_machine_that_wrote_them(graphs: Graphs) -> None:
    for graph in graphs.values():
        assert b".py" not in graph.data
        assert b"stack_trace" not in graph.data


def test_the_same_model_gives_the_same_bytes(model: FaceModel, graphs: Graphs) -> None:
    again = export_graph("decode", build_modules(model)["decode"], model.config)
    assert again.data == graphs["decode"].data


@pytest.mark.parametrize(
    ("proto", "problem"),
    [
        (_one_operator("RandomNormalLike"), "encode: operator RandomNormalLike is random"),
        (_one_operator("Gelu", "com.microsoft"), "operator com.microsoft.Gelu is not standard"),
        (_one_operator("BatchNormalization"), "batch norm"),
    ],
)
def test_a_foreign_random_or_unfolded_operator_is_refused(
    proto: onnx.ModelProto, problem: str
) -> None:
    with pytest.raises(ExportError, match=problem):
        check_graph(proto, "encode")


class _Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(2) + images[0, 0, 0, 0]


def test_a_graph_that_ignores_the_batch_size_is_refused(model: FaceModel) -> None:
    with pytest.raises(ExportError, match="'logits' does not follow the batch size"):
        export_graph("classify", _Constant().eval(), model.config)


def test_grey_images_of_another_size_export_too(model: FaceModel) -> None:
    config = model.config.model_copy(update={"kind": "cnn", "channels": 1, "image_size": 16})
    graph = export_graphs(build_model(config, seed=0).eval())["classify"]
    assert graph.function.inputs[0].shape == ("batch", 16, 16, 1)
