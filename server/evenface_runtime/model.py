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

from evenface_runtime.buffers import cuda_memory
from evenface_runtime.captures import CAPTURES
from evenface_runtime.device import Device, GpuOptions
from evenface_runtime.onnx_file import check_onnx_file
from evenface_runtime.runners import BucketRunner, PlainRunner, Runner
from evenface_runtime.sessions import first_line, open_session
from evenface_runtime.signature import Signature, check_signature, signature_of

Array = NDArray[Any]
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_TRIAL_ROWS = (1, 3)  # two sizes, so that a graph with a baked-in batch is found out


@dataclass(frozen=True)
class Model:
    """A bundle opened for use.

    Attributes:
        bundle: What it was opened from.
        device: Where it runs.
    """

    bundle: Bundle
    device: Device
    _runners: Mapping[FunctionName, Runner]

    @property
    def manifest(self) -> Manifest:
        """What the model is and can do."""
        return self.bundle.manifest

    def require(self, function: FunctionName) -> None:
        """Check that the model has a function.

        Raises:
            FunctionUnsupported: It has not.
        """
        if function not in self._runners:
            raise FunctionUnsupported(
                f"model '{self.manifest.name}' version '{self.manifest.version}' cannot "
                f"{function}; it can {', '.join(sorted(self._runners))}"
            )

    def run(self, function: FunctionName, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Run a function on arrays in the order of its signature; the typed methods call this.

        Raises:
            FunctionUnsupported: The model lacks the function.
        """
        self.require(function)
        return self._runners[function].run(inputs)

    def encode(self, images: UInt8) -> tuple[Float32, Float32]:
        """Encode uint8 [N, S, S, C] to mean and log-variance, float32 [N, D] each.

        Raises:
            FunctionUnsupported: The model cannot encode.
        """
        mean, log_variance, *_ = self.run("encode", (images,))
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

    def encode_and_classify(self, images: UInt8) -> tuple[Float32, Float32, Float32]:
        """Return what `encode` and `classify` do: in one run, but of bundles of before.

        Raises:
            FunctionUnsupported: The model lacks one of both.
        """
        self.require("classify")
        mean, log_variance, *logits = self.run("encode", (images,))
        return mean, log_variance, logits[0] if logits else self.classify(images)

    def colorize(self, images: UInt8) -> UInt8:
        """Colour grey uint8 [N, S, S, 1]; gives uint8 [N, S, S, 3].

        Raises:
            FunctionUnsupported: The model has no colorizer.
        """
        painted: UInt8 = self.run("colorize", (images,))[0]
        return painted


def open_model(
    bundle: Bundle, device: Device, *, threads: int = 0, gpu: GpuOptions | None = None
) -> Model:
    """Open every graph of a bundle, check it against the manifest and warm it up.

    Args:
        bundle: A verified bundle.
        device: Where to run.
        threads: Threads within one session run on the CPU; 0 for one per core.
        gpu: How to use a GPU; None for the defaults.

    Returns:
        The model.

    Raises:
        BundleError: A graph is damaged, is refused, does not fit the manifest or does not run.
        ConfigError: The device cannot be used.
    """
    gpu = gpu or GpuOptions()
    runners = {
        function: _open_graph(bundle, function, device, threads, gpu)
        for function in bundle.manifest.functions
    }
    return Model(bundle, device, runners)


def _open_graph(
    bundle: Bundle, function: FunctionName, device: Device, threads: int, gpu: GpuOptions
) -> Runner:
    name = bundle.manifest.functions[function].graph
    data, digest = bundle.read(name), bundle.manifest.files[name].sha256
    try:
        check_onnx_file(data, name=name)
        with CAPTURES.shared():  # opening allocates
            session = open_session(data, name, digest, device, threads, gpu)
            wanted = signature_of(bundle.manifest, function)
            check_signature(wanted, bundle.manifest, function, session)
            plain = PlainRunner(session, wanted)
            _try_out(plain, wanted, name)
            return plain if device == "cpu" else _in_buckets(session, wanted, device, gpu, name)
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error}") from error


def _in_buckets(
    session: ort.InferenceSession, signature: Signature, device: Device, gpu: GpuOptions, name: str
) -> Runner:
    graphs = gpu.cuda_graphs and device == "cuda"
    runner = BucketRunner(
        session, signature, max_rows=gpu.max_rows, memory=cuda_memory(), graphs=graphs
    )
    try:
        runner.warm_up()
    except Exception as error:
        raise BundleError(f"{name}: fails in buckets: {first_line(error)}") from error
    return runner


def _try_out(runner: Runner, signature: Signature, name: str) -> None:
    """Run a few rows and look at the shapes of what comes out."""
    for rows in _TRIAL_ROWS:
        inputs = tuple(np.zeros(_sized(spec, rows), spec.dtype) for spec in signature.inputs)
        try:
            outputs = runner.run(inputs)
        except Exception as error:
            raise BundleError(f"{name}: fails on {rows} rows: {first_line(error)}") from error
        for spec, output in zip(signature.outputs, outputs, strict=True):
            if output.shape != _sized(spec, rows):
                raise BundleError(
                    f"{name}: '{spec.name}' has shape {output.shape} for {rows} rows, "
                    f"expected {_sized(spec, rows)}"
                )


def _sized(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    return tuple(rows if isinstance(length, str) else length for length in spec.shape)
