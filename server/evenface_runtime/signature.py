"""What each function's graph must take and give, and whether a manifest and a graph do so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnxruntime as ort
from evenface_core.errors import BundleError
from evenface_core.manifest import FunctionName, Manifest, TensorSpec

_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}
_BATCH = "batch"


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a graph, in the order in which they are passed."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def signature_of(manifest: Manifest, function: FunctionName) -> Signature:
    """Derive a signature from the model's sizes, as `evenface_core.manifest.Function` has it."""
    spec = manifest.preprocessing
    images = TensorSpec(
        name="images", dtype="uint8", shape=(_BATCH, spec.size, spec.size, spec.channels)
    )
    logits = TensorSpec(name="logits", dtype="float32", shape=(_BATCH,))
    if function == "encode":
        posterior = (_floats("mean", manifest), _floats("log_variance", manifest))
        return Signature((images,), (*posterior, logits)[: 2 + manifest.encode_classifies])
    if function == "classify":
        return Signature((images,), (logits,))
    if function == "colorize":
        painted = TensorSpec(name="painted", dtype="uint8", shape=(_BATCH, spec.size, spec.size, 3))
        return Signature((images,), (painted,))
    conditions = TensorSpec(
        name="conditions", dtype="float32", shape=(_BATCH, len(manifest.conditions))
    )
    given = (conditions,) if manifest.conditions else ()
    return Signature((_floats("latents", manifest), *given), (images,))


def check_signature(
    wanted: Signature, manifest: Manifest, function: FunctionName, session: ort.InferenceSession
) -> None:
    """Compare a function's signature with what the manifest says and with what the graph has.

    Raises:
        BundleError: Names the first tensor that differs.
    """
    stated = manifest.functions[function]
    _compare(f"{function}: manifest: input", wanted.inputs, stated.inputs)
    _compare(f"{function}: manifest: output", wanted.outputs, stated.outputs)
    _compare(f"{stated.graph}: input", wanted.inputs, _specs(session.get_inputs(), stated.graph))
    _compare(f"{stated.graph}: output", wanted.outputs, _specs(session.get_outputs(), stated.graph))


def _floats(name: str, manifest: Manifest) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=(_BATCH, manifest.latent_size))


def _compare(label: str, wanted: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    if {spec.name for spec in wanted} != {spec.name for spec in found}:
        raise BundleError(f"{label}s are {_names(found)}, expected {_names(wanted)}")
    by_name = {spec.name: spec for spec in found}
    for spec in wanted:
        other = by_name[spec.name]
        if other.dtype != spec.dtype or not _fits(spec.shape, other.shape):
            raise BundleError(f"{label} {_text(other)}, expected {_text(spec)}")


def _fits(wanted: Sequence[int | str], found: Sequence[int | str]) -> bool:
    """Named dimensions may have any name, but must be dynamic; lengths must be equal."""
    return len(wanted) == len(found) and all(
        isinstance(b, str) if isinstance(a, str) else a == b
        for a, b in zip(wanted, found, strict=True)
    )


def _specs(nodes: Iterable[ort.NodeArg], graph: str) -> list[TensorSpec]:
    specs = []
    for node in nodes:
        dtype = _TYPES.get(node.type)
        if dtype is None:
            raise BundleError(f"{graph}: '{node.name}' is {node.type}, which no function uses")
        shape = tuple("?" if length is None else length for length in node.shape)
        specs.append(TensorSpec.model_validate({"name": node.name, "dtype": dtype, "shape": shape}))
    return specs


def _names(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(sorted(spec.name for spec in specs)) or "none"


def _text(spec: TensorSpec) -> str:
    return f"'{spec.name}' {spec.dtype}[{', '.join(map(str, spec.shape))}]"
