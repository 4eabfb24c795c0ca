"""A model: one ONNX Runtime session per function, opened from verified bytes and warmed up.

Calls run in the caller's thread and release the interpreter's lock; a model may be called from
several threads at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from evenface_core.bundle import Bundle
from evenface_core.errors import BundleError, FunctionUnsupported
from evenface_core.manifest import FunctionName, Manifest, TensorSpec
from numpy.typing import NDArray

from evenface_runtime.device import Device, provider_of
from evenface_runtime.onnx_file import check_onnx_file
from evenface_runtime.signature import Signature, check_signature, signature_of

Array = NDArray[Any]
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_WARM_UP_ROWS = (1, 3)  # two sizes, so that a graph with a baked-in batch is found out


@dataclass(frozen=True)
class _Graph:
    session: ort.InferenceSession
    signature: Signature

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        names = (spec.name for spec in self.signature.inputs)
        outputs = [spec.name for spec in self.signature.outputs]
        return tuple(self.session.run(outputs, dict(zip(names, inputs, strict=True))))


@dataclass(frozen=True)
class Model:
    """A bundle opened for use.

    Attributes:
        bundle: What it was opened from.
        device: Where it runs.
    """

    bundle: Bundle
    device: Device
    _graphs: Mapping[FunctionName, _Graph]

    @property
    def manifest(self) -> Manifest:
        """What the model is and can do."""
        return self.bundle.manifest

    def require(self, function: FunctionName) -> None:
        """Check that the model has a function.

        Raises:
            FunctionUnsupported: It has not.
        """
        if function not in self._graphs:
            raise FunctionUnsupported(
                f"model '{self.manifest.name}' version '{self.manifest.version}' cannot "
                f"{function}; it can {', '.join(sorted(self._graphs))}"
            )

    def run(self, function: FunctionName, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Run a function on arrays in the order of its signature; the typed methods call this.

        Raises:
            FunctionUnsupported: The model lacks the function.
        """
        self.require(function)
        return self._graphs[function].run(inputs)

    def encode(self, images: UInt8) -> tuple[Float32, Float32]:
        """Encode uint8 [N, S, S, C] to mean and log-variance, float32 [N, D] each.

        Raises:
            FunctionUnsupported: The model cannot encode.
        """
        mean, log_variance = self.run("encode", (images,))
        return mean, log_variance

    def decode(self, latents: Float32, conditions: Float32 | None = None) -> UInt8:
        """Decode float32 [N, D], and [N, K] for a conditional model, to uint8 [N, S, S, C].

        Raises:
            FunctionUnsupported: The model cannot decode.
        """
        inputs = (latents,) if conditions is None else (latents, conditions)
        images: UInt8 = self.run("decode", inputs)[0]
        return images

    def classify(self, images: UInt8) -> Float32:
        """Return the logit of "face" of uint8 [N, S, S, C], float32 [N].

        Raises:
            FunctionUnsupported: The model cannot classify.
        """
        logits: Float32 = self.run("classify", (images,))[0]
        return logits


def open_model(bundle: Bundle, device: Device, *, threads: int = 0) -> Model:
    """Open every graph of a bundle, check it against the manifest and warm it up.

    Args:
        bundle: A verified bundle.
        device: Where to run.
        threads: Threads within one session run; 0 for one per CPU core.

    Returns:
        The model.

    Raises:
        BundleError: A graph is damaged, is refused, does not fit the manifest or does not run.
    """
    graphs = {
        function: _open_graph(bundle, function, device, threads)
        for function in bundle.manifest.functions
    }
    return Model(bundle, device, graphs)


def _open_graph(bundle: Bundle, function: FunctionName, device: Device, threads: int) -> _Graph:
    name = bundle.manifest.functions[function].graph
    data = bundle.read(name)
    try:
        check_onnx_file(data, name=name)
        session = _session(data, name, device, threads)
        wanted = signature_of(bundle.manifest, function)
        check_signature(wanted, bundle.manifest, function, session)
        graph = _Graph(session, wanted)
        _warm_up(graph, name)
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error}") from error
    return graph


def _session(data: bytes, name: str, device: Device, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised; the rest is noise
    # Threads that spin between runs would take the cores from image decoding and gRPC.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    provider = provider_of(device)
    try:
        session = ort.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise BundleError(f"{name}: ONNX Runtime cannot open it: {_first_line(error)}") from error
    if provider not in session.get_providers():
        raise BundleError(f"{name}: ONNX Runtime fell back from {provider}; is a GPU there?")
    return session


def _warm_up(graph: _Graph, name: str) -> None:
    for rows in _WARM_UP_ROWS:
        inputs = tuple(np.zeros(_sized(spec, rows), spec.dtype) for spec in graph.signature.inputs)
        try:
            outputs = graph.run(inputs)
        except Exception as error:
            raise BundleError(f"{name}: fails on {rows} rows: {_first_line(error)}") from error
        for spec, output in zip(graph.signature.outputs, outputs, strict=True):
            if output.shape != _sized(spec, rows):
                raise BundleError(
                    f"{name}: '{spec.name}' has shape {output.shape} for {rows} rows, "
                    f"expected {_sized(spec, rows)}"
                )


def _sized(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    return tuple(rows if isinstance(length, str) else length for length in spec.shape)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
