"""Exported graphs at work: arrays in, arrays out, a batch at a time, on the CPU.

Every figure of a bundle comes from here, so that it describes what is served, not what was trained.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnxruntime
from evenface_core.errors import ExportError
from evenface_core.manifest import FunctionName
from numpy.typing import NDArray
from tqdm import tqdm

from evenface_export.graphs import Graph

Array = NDArray[np.generic]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

_BATCH = 64  # larger ones are hardly faster on a CPU


class GraphSession:
    """One graph, ready to run.

    Args:
        graph: The graph.

    Raises:
        ExportError: ONNX Runtime refuses the graph.
    """

    def __init__(self, graph: Graph) -> None:
        try:
            self._session = onnxruntime.InferenceSession(
                graph.data, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base
            raise ExportError(
                f"{graph.function.graph}: ONNX Runtime refuses it: {error}"
            ) from error
        self.inputs = graph.function.inputs
        self.output_names = [spec.name for spec in graph.function.outputs]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Run a batch; inputs and outputs stand in the function's order."""
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        return tuple(self._session.run(self.output_names, feed))


class ServedModel:
    """A model as a server will run it.

    Args:
        graphs: Of `graphs.export_graphs`.

    Raises:
        ExportError: ONNX Runtime refuses a graph.
    """

    def __init__(self, graphs: Mapping[FunctionName, Graph]) -> None:
        self._sessions = {name: GraphSession(graph) for name, graph in graphs.items()}

    def encode(self, images: UInt8, rows: Int64) -> tuple[Float32, Float32]:
        """Encode images.

        Args:
            images: uint8 [N, S, S, C].
            rows: int64 [M], which of them.

        Returns:
            `mean` and `log_variance`, float32 [M, D].
        """
        parts = [self._run("encode", images[batch]) for batch in batches(rows, "encoding")]
        mean, log_variance, *_ = zip(*parts, strict=True)
        return np.concatenate(mean), np.concatenate(log_variance)

    def classify(self, images: UInt8, rows: Int64) -> Float32:
        """Classify images, as in `encode`; logits, float32 [M]."""
        parts = [self._run("classify", images[batch])[0] for batch in batches(rows, "classifying")]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def decode(self, latents: Float32, conditions: Float32 | None = None) -> UInt8:
        """Decode one batch of latents.

        Args:
            latents: float32 [N, D].
            conditions: float32 [N, K], of a conditional model; None is all zeros, as in a server.

        Returns:
            uint8 [N, S, S, C].
        """
        inputs: list[Array] = [latents]
        for spec in self._sessions["decode"].inputs[1:]:
            zeros = np.zeros((len(latents), int(spec.shape[1])), np.float32)
            inputs.append(zeros if conditions is None else conditions)
        return self._run("decode", *inputs)[0].astype(np.uint8, copy=False)

    def reconstruct(self, images: UInt8, conditions: Float32 | None = None) -> UInt8:
        """Encode one batch of images uint8 [N, S, S, C] and decode their means, as in `decode`."""
        mean = self._run("encode", images)[0].astype(np.float32, copy=False)
        return self.decode(mean, conditions)

    @property
    def colours(self) -> bool:
        """Whether the model has a colorizer."""
        return "colorize" in self._sessions

    def colorize(self, images: UInt8) -> UInt8:
        """Colour one batch of grey images uint8 [N, S, S, 1]: uint8 [N, S, S, 3]."""
        return self._run("colorize", images)[0].astype(np.uint8, copy=False)

    def _run(self, name: FunctionName, *arrays: Array) -> tuple[Array, ...]:
        return self._sessions[name].run(*arrays)


def batches(rows: Int64, doing: str) -> Iterator[Int64]:
    """Cut rows into batches and show how far one has come.

    Args:
        rows: int64 [M].
        doing: What to call it.
    """
    with tqdm(total=len(rows), desc=doing, unit="image", disable=None, leave=False) as bar:
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            yield batch
            bar.update(len(batch))
