"""Tiny real bundles with maths simple enough to be repeated in numpy.

mean         = (average colour of the upper half, 0 to 1) · ENCODE
log_variance = (average colour of the upper half) · SPREAD - 1
images       = every pixel round(255 · sigmoid(latents · PAINT + conditions · TINT))
logits       = 10 · (average brightness, 0 to 1, minus 0.5)

What comes of a row is, to its last bit, the same whatever else is in its batch: tests may compare
calls that were batched in different ways. (With real models it is not.)
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from evenface_core.bundle import write_bundle
from evenface_core.images import Preprocessing
from evenface_core.manifest import (
    AggregatePosterior,
    AttributeQuality,
    Function,
    FunctionName,
    GroupQuality,
    Manifest,
    TensorSpec,
    TrainingHistogram,
)
from evenface_core.resampling import LatentHistogram
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from support.slowness import wasted_seconds

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]

SIZE, LATENT = 16, 4
CHANNELS: Literal[3] = 3

_RNG = np.random.Generator(np.random.Philox(key=np.array([7, 7], np.uint64)))
ENCODE: Float32 = _RNG.standard_normal((CHANNELS, LATENT), np.float32)
SPREAD: Float32 = _RNG.standard_normal((CHANNELS, LATENT), np.float32)
PAINT: Float32 = _RNG.standard_normal((LATENT, CHANNELS), np.float32)
TINT: Float32 = _RNG.standard_normal((2, CHANNELS), np.float32)

WORTH = AttributeQuality(
    auc=0.75, positives=30, negatives=50, held_out_positives=4, held_out_negatives=6
)
CARD = "# A tiny model\n\nFor tests alone.\n"
ALL: tuple[FunctionName, ...] = ("encode", "decode", "classify")


@dataclass(frozen=True)
class Tiny:
    """What a tiny bundle is like.

    Attributes:
        name: Of the model.
        version: Of the model.
        functions: What it can do.
        conditions: Up to two names; the decoder is conditional where there are any.
        attribute_vectors: By name.
        encode_seconds: That a run of encode takes, about, where nothing else runs.
        shift: Added to every mean, so that models can be told apart.
        joint: Whether encode gives logits, too, as bundles of before do not.
        broken: How the bundle is spoiled, if at all: "domain" and "external" in all graphs,
            "manifest", "shape", "name", "dtype", "rows", "run", "bytes" and "graph" in encode's;
            with "white" it opens, and fails on a batch with a white image.
    """

    name: str = "faces"
    version: str = "1"
    functions: tuple[FunctionName, ...] = ALL
    conditions: tuple[str, ...] = ()
    attribute_vectors: tuple[tuple[str, tuple[float, ...]], ...] = (("smiling", (1, 0, 0, 2)),)
    encode_seconds: float = 0.0
    shift: float = 0.0
    joint: bool = False
    broken: str = ""


def expected_mean(images: UInt8, shift: float = 0.0) -> Float32:
    """The mean that encode gives for uint8 [N, S, S, C]."""
    return cast("Float32", _colour(images) @ ENCODE + np.float32(shift))


def expected_log_variance(images: UInt8) -> Float32:
    """The log-variance that encode gives."""
    return cast("Float32", _colour(images) @ SPREAD - np.float32(1))


def expected_logits(images: UInt8) -> Float32:
    """The logits that classify gives."""
    scaled = images.astype(np.float32) / np.float32(255)
    return cast("Float32", np.float32(10) * (scaled.mean(axis=(1, 2, 3)) - np.float32(0.5)))


def expected_images(latents: Float32, conditions: Float32 | None = None) -> UInt8:
    """The images that decode gives; a pixel may differ by one where rounding is close."""
    paint = latents @ PAINT
    if conditions is not None:
        paint = paint + conditions @ TINT[: conditions.shape[1]]
    colour = np.round(255 / (1 + np.exp(-paint))).astype(np.uint8)
    return np.broadcast_to(colour[:, None, None], (len(colour), SIZE, SIZE, CHANNELS)).copy()


def images(count: int, seed: int = 0, size: int = SIZE) -> UInt8:
    """Noise around a random colour each: uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(40, 215, (count, 1, 1, CHANNELS))
    noise = rng.integers(-40, 40, (count, size, size, CHANNELS))
    return cast("UInt8", (colour + noise).astype(np.uint8))


def write_tiny_bundle(root: Path, tiny: Tiny | None = None) -> Path:
    """Write a tiny bundle below a model directory; return its folder."""
    tiny = tiny or Tiny()
    graphs = {f"{name}.onnx": _graph(tiny, name) for name in tiny.functions}
    return write_bundle(
        root, tiny_manifest(tiny), {**graphs, "model_card.md": CARD.encode()}, replace=True
    )


def tiny_manifest(tiny: Tiny) -> Manifest:
    """The manifest of a tiny bundle, before files are listed."""
    latents = expected_mean(images(200, seed=1), tiny.shift)
    return Manifest(
        name=tiny.name,
        version=tiny.version,
        kind="dbvae" if len(tiny.functions) > 1 else "cnn",
        preprocessing=Preprocessing(size=SIZE, channels=CHANNELS),
        latent_size=LATENT,
        functions={name: _function(tiny, name) for name in tiny.functions},
        conditions=tiny.conditions,
        attribute_vectors=dict(tiny.attribute_vectors),
        attribute_quality={name: WORTH for name, _ in tiny.attribute_vectors},
        aggregate_posterior=AggregatePosterior.fit(latents, np.full_like(latents, -3)),
        training_histogram=TrainingHistogram.from_histogram(LatentHistogram.from_latents(latents)),
        quality={"auc": 0.5},
        groups=(GroupQuality(column="tone", value="gray", count=3, share=0.25),),
        provenance={"made_by": "tests"},
    )


def _colour(images: UInt8) -> Float32:
    upper = images[:, : SIZE // 2].astype(np.float32) / np.float32(255)
    return cast("Float32", upper.mean(axis=(1, 2)))


def _function(tiny: Tiny, name: FunctionName) -> Function:
    image = TensorSpec(name="images", dtype="uint8", shape=("batch", SIZE, SIZE, CHANNELS))
    latent = TensorSpec(name="latents", dtype="float32", shape=("batch", LATENT))
    graph = f"{name}.onnx"
    logits = TensorSpec(name="logits", dtype="float32", shape=("batch",))
    if name == "classify":
        return Function(graph=graph, inputs=(image,), outputs=(logits,))
    if name == "decode":
        shape = ("batch", len(tiny.conditions))
        given = (TensorSpec(name="conditions", dtype="float32", shape=shape),)
        return Function(
            graph=graph, inputs=(latent, *(given if tiny.conditions else ())), outputs=(image,)
        )
    width = LATENT + 1 if tiny.broken == "manifest" else LATENT
    mean = latent.model_copy(update={"name": "mean", "shape": ("batch", width)})
    return Function(
        graph=graph,
        inputs=(image,),
        outputs=(
            mean,
            latent.model_copy(update={"name": "log_variance"}),
            *((logits,) if tiny.joint else ()),
        ),
    )


def _graph(tiny: Tiny, name: FunctionName) -> bytes:
    nodes, inputs, outputs, weights = {
        "encode": _encode,
        "decode": _decode,
        "classify": _classify,
    }[name](tiny)
    graph = helper.make_graph(
        nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    opsets = [helper.make_opsetid("", 18)]
    if tiny.broken == "graph":
        graph.node[-1].op_type = "NoSuchOperator"
    if tiny.broken == "bytes":
        return b"not an ONNX model"
    if tiny.broken == "domain":
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    if tiny.broken == "external":
        tensor = graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="elsewhere.bin")
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return model.SerializeToString(deterministic=True)


_Parts = tuple[list[Any], list[Any], list[Any], dict[str, Any]]


def _images_value(name: str, batch: str | int = "batch") -> Any:  # noqa: ANN401 - onnx is untyped
    return helper.make_tensor_value_info(name, TensorProto.UINT8, [batch, SIZE, SIZE, CHANNELS])


def _floats_value(name: str, *shape: str | int) -> Any:  # noqa: ANN401
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _scaled_images() -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "white"], ["scaled"]),
    ]
    return nodes, {"white": np.float32(255)}


def _encode(tiny: Tiny) -> _Parts:
    nodes, weights = _scaled_images()
    weights |= {
        "axes": np.array([2, 3], np.int64),
        "top": np.array([0], np.int64),
        "middle": np.array([SIZE // 2], np.int64),
        "height": np.array([1], np.int64),
        "encode": ENCODE,
        "spread": SPREAD,
        "one": np.float32(1),
        "shift": np.float32(tiny.shift),
    }
    nodes += [
        helper.make_node("Slice", ["scaled", "top", "middle", "height"], ["upper"]),
        # ReduceMean sums in another order where there is one row.
        helper.make_node("Transpose", ["upper"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["planes"], ["averages"]),
        helper.make_node("Squeeze", ["averages", "axes"], ["colour"]),
        helper.make_node("MatMul", ["colour", "encode"], ["raw_mean"]),
        helper.make_node("MatMul", ["colour", "spread"], ["raw_spread"]),
        helper.make_node("Sub", ["raw_spread", "one"], ["log_variance"]),
    ]
    if tiny.encode_seconds:
        extra_nodes, extra_weights = wasted_seconds(tiny.encode_seconds)
        nodes += extra_nodes
        weights |= extra_weights
    shift = "slow_shift" if tiny.encode_seconds else "shift"
    nodes.append(helper.make_node("Add", ["raw_mean", shift], ["mean"]))
    batch = 1 if tiny.broken == "shape" else "batch"
    mean = _floats_value("mean", batch, LATENT)
    if tiny.broken:
        mean = _spoil_mean(tiny.broken, nodes, weights) or mean
    outputs = [mean, _floats_value("log_variance", batch, LATENT)]
    if tiny.joint:
        more_nodes, more_weights = _judged()
        nodes += more_nodes
        weights |= more_weights
        outputs.append(_floats_value("logits", "batch"))
    return nodes, [_images_value("images", batch)], outputs, weights


def _spoil_mean(broken: str, nodes: list[Any], weights: dict[str, Any]) -> Any:  # noqa: ANN401
    """Change the node that gives the mean; return the output's new declaration, if it has one."""
    last = nodes[-1]
    if broken == "name":
        last.output[0] = "other"
        return _floats_value("other", "batch", LATENT)
    if broken == "dtype":
        last.output[0] = "single"
        nodes.append(helper.make_node("Cast", ["single"], ["mean"], to=TensorProto.FLOAT16))
        return helper.make_tensor_value_info("mean", TensorProto.FLOAT16, ["batch", LATENT])
    if broken == "rows":
        last.output[0] = "single"
        nodes.append(helper.make_node("Concat", ["single", "single"], ["mean"], axis=0))
        return _floats_value("mean", "twice", LATENT)
    if broken == "white":
        last.output[0] = "single"
        weights["nothing"] = np.zeros(1, np.float32)  # has no element 1
        nodes.append(helper.make_node("ReduceMax", ["colour"], ["lightest"], keepdims=0))
        nodes.append(helper.make_node("Cast", ["lightest"], ["index"], to=TensorProto.INT64))
        nodes.append(helper.make_node("Gather", ["nothing", "index"], ["zero"]))
        nodes.append(helper.make_node("Add", ["single", "zero"], ["mean"]))
    if broken == "run":
        last.output[0] = "single"
        weights["two"] = np.array([True, True])
        nodes.append(helper.make_node("Compress", ["single", "two"], ["at_most_two"], axis=0))
        nodes.append(helper.make_node("Add", ["single", "at_most_two"], ["mean"]))
    return None


def _decode(tiny: Tiny) -> _Parts:
    count = len(tiny.conditions)
    inputs = [_floats_value("latents", "batch", LATENT)]
    nodes = [helper.make_node("MatMul", ["latents", "paint"], ["plain"])]
    weights: dict[str, Any] = {
        "paint": PAINT,
        "white": np.float32(255),
        "axes": np.array([1, 2], np.int64),
        "tile": np.array([1, SIZE, SIZE, 1], np.int64),
    }
    if count:
        inputs.append(_floats_value("conditions", "batch", count))
        weights["tint"] = TINT[:count]
        nodes.append(helper.make_node("MatMul", ["conditions", "tint"], ["tinted"]))
        nodes.append(helper.make_node("Add", ["plain", "tinted"], ["painted"]))
    else:
        nodes.append(helper.make_node("Identity", ["plain"], ["painted"]))
    nodes += [
        helper.make_node("Sigmoid", ["painted"], ["share"]),
        helper.make_node("Mul", ["share", "white"], ["level"]),
        helper.make_node("Round", ["level"], ["whole"]),
        helper.make_node("Unsqueeze", ["whole", "axes"], ["pixel"]),
        helper.make_node("Tile", ["pixel", "tile"], ["pixels"]),
        helper.make_node("Cast", ["pixels"], ["images"], to=TensorProto.UINT8),
    ]
    return nodes, inputs, [_images_value("images")], weights


def _classify(tiny: Tiny) -> _Parts:
    del tiny
    nodes, weights = _scaled_images()
    more_nodes, more_weights = _judged()
    logits = _floats_value("logits", "batch")
    return nodes + more_nodes, [_images_value("images")], [logits], weights | more_weights


def _judged() -> tuple[list[Any], dict[str, Any]]:
    """`scaled` to `logits`."""
    nodes = [
        helper.make_node("ReduceMean", ["scaled", "all_axes"], ["bright"], keepdims=0),
        helper.make_node("Sub", ["bright", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "ten"], ["logits"]),
    ]
    return nodes, {
        "all_axes": np.array([1, 2, 3], np.int64),
        "half": np.float32(0.5),
        "ten": np.float32(10),
    }


def variants(tiny: Tiny, *versions: str) -> list[Tiny]:
    """The same model in several versions, each with its own shift."""
    return [
        replace(tiny, version=version, shift=float(number))
        for number, version in enumerate(versions)
    ]
