"""Torch modules to ONNX graphs that a server may trust.

A graph uses the standard operators alone, draws no random numbers, takes any batch size, holds no
batch norm, and says nothing of the machine that wrote it.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

import onnx
import torch
from evenface_core.errors import ExportError
from evenface_core.manifest import Function, FunctionName, TensorSpec
from evenface_training.config import ModelConfig
from evenface_training.models import FaceModel
from torch import Tensor, nn

from evenface_export.modules import build_modules, halved

Precision = Literal["fp32", "fp16"]

BATCH = "batch"

_OPSET = 20
_EXAMPLE_ROWS = 2  # torch.export takes a batch of one for a constant
_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


@dataclass(frozen=True)
class Graph:
    """A function of a model, exported.

    Attributes:
        function: How the manifest describes it.
        data: The ONNX file.
    """

    function: Function
    data: bytes = field(repr=False)


def export_graphs(model: FaceModel, precision: Precision = "fp32") -> dict[FunctionName, Graph]:
    """Export every function that a model's kind has.

    Args:
        model: In eval mode, on the CPU.
        precision: Of weights and arithmetic; inputs and outputs are the same in both.

    Raises:
        ExportError: A graph breaks a rule of this module.
    """
    return {
        name: export_graph(name, halved(module) if precision == "fp16" else module, model.config)
        for name, module in build_modules(model).items()
    }


def export_graph(name: FunctionName, module: nn.Module, config: ModelConfig) -> Graph:
    """Export one function.

    Args:
        name: Which one.
        module: Of `modules.build_modules`.
        config: Sizes of the model.

    Raises:
        ExportError: The graph breaks a rule of this module.
    """
    function = describe(name, config)
    proto = _to_onnx(module, function)
    _strip(proto)
    check_graph(proto, name)
    _name_batch(proto, name)
    onnx.checker.check_model(proto, full_check=True)
    return Graph(function, proto.SerializeToString(deterministic=True))


def describe(name: FunctionName, config: ModelConfig) -> Function:
    """Say how the manifest describes a function of a model of these sizes."""
    side, depth, known = config.image_size, config.latent_size, len(config.conditions)
    images = TensorSpec(name="images", dtype="uint8", shape=(BATCH, side, side, config.channels))

    def floats(tensor: str, *shape: int) -> TensorSpec:
        return TensorSpec(name=tensor, dtype="float32", shape=(BATCH, *shape))

    grey = images.model_copy(update={"shape": (BATCH, side, side, 1)})
    painted = TensorSpec(name="painted", dtype="uint8", shape=(BATCH, side, side, 3))
    conditions = (floats("conditions", known),) if known else ()
    logits = (floats("logits"),) if config.classifies else ()
    inputs, outputs = {
        "encode": ((images,), (floats("mean", depth), floats("log_variance", depth), *logits)),
        "decode": ((floats("latents", depth), *conditions), (images,)),
        "classify": ((images,), logits),
        "colorize": ((grey,), (painted,)),
    }[name]
    return Function(graph=f"{name}.onnx", inputs=inputs, outputs=outputs)


def check_graph(proto: onnx.ModelProto, name: str) -> None:
    """Refuse a graph with foreign, random or batch norm operators.

    Raises:
        ExportError: Names the function and the operator.
    """
    if proto.functions:
        raise ExportError(f"{name}: the graph defines functions of its own")
    for node in proto.graph.node:
        if node.domain not in _STANDARD_DOMAINS:
            raise ExportError(f"{name}: operator {node.domain}.{node.op_type} is not standard ONNX")
        if node.op_type in _RANDOM:
            raise ExportError(f"{name}: operator {node.op_type} is random")
        if node.op_type == "BatchNormalization":
            raise ExportError(f"{name}: a batch norm was not folded into its convolution")


def _to_onnx(module: nn.Module, function: Function) -> onnx.ModelProto:
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(_example(spec) for spec in function.inputs),
                dynamo=True,
                dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in function.inputs),
                input_names=[spec.name for spec in function.inputs],
                output_names=[spec.name for spec in function.outputs],
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"{function.graph}: torch cannot export it: {error}") from error
    assert program is not None  # noqa: S101 - it is None for the old exporter alone
    return program.model_proto


def _example(spec: TensorSpec) -> Tensor:
    shape = [size for size in spec.shape if isinstance(size, int)]
    return torch.zeros(_EXAMPLE_ROWS, *shape, dtype=getattr(torch, spec.dtype))


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence what torch says of itself while it exports, and nothing else."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*treespec, LeafSpec", FutureWarning)
            yield
    finally:
        registry.setLevel(level)


def _strip(proto: onnx.ModelProto) -> None:
    """Drop intermediate shapes and the exporter's notes, which hold paths of this machine."""
    graph = proto.graph
    del graph.value_info[:]
    parts = (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer)
    for part in cast(Sequence[onnx.ModelProto], parts):
        part.doc_string = ""
        del part.metadata_props[:]


def _name_batch(proto: onnx.ModelProto, name: str) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if not sizes or sizes[0].WhichOneof("value") != "dim_param":
            raise ExportError(f"{name}: '{value.name}' does not follow the batch size")
        sizes[0].dim_param = BATCH
