"""Ways to run a session: as it comes, or in buckets through buffers that stay in their place.

On a CPU a plain run is as fast as one with bound buffers, and needs no padding. On a GPU each new
shape costs memory and a search for algorithms, pageable memory is copied twice, and to launch a
dozen small kernels may take longer than to run them: hence buckets, page-locked buffers and graphs.
"""

import threading
from bisect import bisect_left
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from evenface_runtime.buffers import Buffer, Memory
from evenface_runtime.captures import CAPTURES
from evenface_runtime.signature import Signature

Array = NDArray[Any]


def _run_options(graph: int) -> ort.RunOptions:
    """Options of a run, which name the CUDA graph that it captures or replays."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options


_UNCAPTURED = _run_options(-1)  # means nothing where there are no CUDA graphs


class Runner(Protocol):
    """Runs one graph; several threads may call it at once."""

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Run it on arrays in the order of its signature; return outputs likewise.

        Args:
            inputs: Arrays with the same first dimension.
        """


class PlainRunner:
    """Leaves everything to the session.

    Args:
        session: The graph, opened.
        signature: What it takes and gives.
    """

    def __init__(self, session: ort.InferenceSession, signature: Signature) -> None:
        self._session = session
        self._inputs = tuple(spec.name for spec in signature.inputs)
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """As `Runner.run`."""
        feeds = dict(zip(self._inputs, inputs, strict=True))
        return tuple(self._session.run(self._outputs, feeds, _UNCAPTURED))


@dataclass(frozen=True)
class _Bucket:
    rows: int
    binding: ort.IOBinding
    options: ort.RunOptions


class BucketRunner:
    """Pads batches to a few sizes and runs them through buffers of its own, one at a time.

    The rows of a bucket beyond those asked for hold what was there before; the graphs of a bundle
    compute each row by itself.

    Args:
        session: The graph, opened.
        signature: What it takes and gives.
        max_rows: The largest bucket; more rows are run in parts.
        memory: Where the buffers lie.
        graphs: Whether each bucket is captured as a CUDA graph; the session must allow it.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        signature: Signature,
        *,
        max_rows: int,
        memory: Memory,
        graphs: bool,
    ) -> None:
        self._session = session
        self._max_rows = max_rows
        self._graphs = graphs
        # A graph reads and writes where it did when it was captured: on the device.
        self._inputs, self._outputs = (
            [Buffer(spec, max_rows, memory, on_device=graphs) for spec in specs]
            for specs in (signature.inputs, signature.outputs)
        )
        self._buckets = [
            _Bucket(rows, self._bind(rows), _run_options(number) if graphs else _UNCAPTURED)
            for number, rows in enumerate(bucket_sizes(max_rows), start=1)
        ]
        self._turn = threading.Lock()
        self._thread = threading.local()

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """As `Runner.run`.

        Raises:
            ValueError: An array is of another shape or dtype.
        """
        parts = [
            tuple(array[start : start + self._max_rows] for array in inputs)
            for start in range(0, max(len(inputs[0]), 1), self._max_rows)
        ]
        with self._turn:
            if self._graphs:
                self._capture()
            with CAPTURES.shared() if self._graphs else nullcontext():
                outputs = [self._run_part(part) for part in parts]
        if len(outputs) == 1:
            return outputs[0]
        return tuple(np.concatenate(arrays) for arrays in zip(*outputs, strict=True))

    def warm_up(self) -> None:
        """Run every bucket, so that memory is there and algorithms are found; captures nothing.

        Raises:
            Exception: What ONNX Runtime raises.
        """
        with self._turn:
            for bucket in reversed(self._buckets):  # the largest asks for all the memory
                self._session.run_with_iobinding(bucket.binding, _UNCAPTURED)

    def _run_part(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        rows = len(inputs[0])
        for buffer, array in zip(self._inputs, inputs, strict=True):
            buffer.write(array)
        bucket = self._buckets[bisect_left(self._buckets, rows, key=lambda each: each.rows)]
        self._session.run_with_iobinding(bucket.binding, bucket.options)
        return tuple(buffer.read(rows) for buffer in self._outputs)

    def _capture(self) -> None:
        """Capture all buckets, if this thread has not: ONNX Runtime keeps graphs by thread."""
        if getattr(self._thread, "captured", False):
            return
        with CAPTURES.alone():
            for bucket in reversed(self._buckets):
                self._session.run_with_iobinding(bucket.binding, bucket.options)
        self._thread.captured = True

    def _bind(self, rows: int) -> ort.IOBinding:
        binding = self._session.io_binding()
        for buffers, bind in (
            (self._inputs, binding.bind_input),
            (self._outputs, binding.bind_output),
        ):
            for buffer in buffers:
                shape = (rows, *buffer.row_shape)
                dtype = np.dtype(buffer.spec.dtype)
                bind(buffer.spec.name, buffer.place, 0, dtype, shape, buffer.address)
        return binding


def bucket_sizes(max_rows: int) -> list[int]:
    """The powers of two below `max_rows`, and itself.

    Args:
        max_rows: ≥ 1.
    """
    return [*(2**power for power in range((max_rows - 1).bit_length())), max_rows]
