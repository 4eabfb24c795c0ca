"""The engine's answers, and what is known of models, to the protocol's messages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from evenface.oip import inference_pb2 as oip
from evenface_core.tensors import to_bytes
from numpy.typing import NDArray

from evenface_server.calls import Served
from evenface_server.oip.catalog import Entry, Tensor

# As Triton calls ONNX graphs that ONNX Runtime runs.
_PLATFORM: Final = "onnxruntime_onnx"
_DATATYPES: Final[Mapping[np.dtype[Any], str]] = {
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.float32): "FP32",
    np.dtype(np.bool_): "BOOL",
}
_ITEM_BYTES: Final = {name: dtype.itemsize for dtype, name in _DATATYPES.items()}
_NANOSECONDS: Final = 1e9


class Asked(NamedTuple):
    """What a reply needs to know of its request.

    Attributes:
        model: The name that the request gave.
        number: The id that it gave.
        outputs: Names of those wanted, in the order of the reply.
    """

    model: str
    number: str
    outputs: Sequence[str]


def infer_response(
    asked: Asked, served: Served, outputs: Mapping[str, NDArray[Any]]
) -> oip.ModelInferResponse:
    """Pack the outputs that are wanted.

    Args:
        asked: What is answered.
        served: What answered.
        outputs: By name, all that there are.
    """
    arrays = [outputs[name] for name in asked.outputs]
    return oip.ModelInferResponse(
        model_name=asked.model,
        model_version=served.version,
        id=asked.number,
        parameters={"manifest_digest": oip.InferParameter(string_param=served.digest)},
        outputs=[
            oip.ModelInferResponse.InferOutputTensor(
                name=name, datatype=_DATATYPES[array.dtype], shape=array.shape
            )
            for name, array in zip(asked.outputs, arrays, strict=True)
        ],
        raw_output_contents=[to_bytes(array) for array in arrays],
    )


def size_of(reply: oip.ModelStreamInferResponse) -> int:
    """Bytes of the outputs, without looking at them."""
    return sum(
        _ITEM_BYTES[output.datatype] * math.prod(output.shape)
        for output in reply.infer_response.outputs
    )


def metadata(entry: Entry, versions: Sequence[str]) -> oip.ModelMetadataResponse:
    """Pack what a model takes and gives."""
    return oip.ModelMetadataResponse(
        name=entry.name,
        versions=versions,
        platform=_PLATFORM,
        inputs=map(_tensor_metadata, entry.inputs),
        outputs=map(_tensor_metadata, entry.outputs),
    )


def config(entry: Entry, max_items: int) -> oip.ModelConfigResponse:
    """Pack a model's configuration."""
    inputs = (
        oip.ModelInput(
            name=item.name, data_type=_number(item), dims=item.lengths, optional=item.optional
        )
        for item in entry.inputs
    )
    outputs = (
        oip.ModelOutput(name=item.name, data_type=_number(item), dims=item.lengths)
        for item in entry.outputs
    )
    return oip.ModelConfigResponse(
        config=oip.ModelConfig(
            name=entry.name,
            platform=_PLATFORM,
            max_batch_size=max_items,
            input=inputs,
            output=outputs,
            dynamic_batching=oip.ModelDynamicBatching(),
        )
    )


def statistics(entry: Entry) -> oip.ModelStatistics:
    """Pack what a model has done in this process.

    The time of a batch is counted once, not once for each of its requests; perf_analyzer ends where
    counts of the three parts of computing differ.
    """
    counts = entry.served.lanes[entry.function].metrics
    calls, ran = counts.queue_wait.count, counts.inference
    return oip.ModelStatistics(
        name=entry.name,
        version=entry.version,
        inference_count=int(counts.images.values[0]),
        execution_count=ran.count,
        inference_stats=oip.InferStatistics(
            success=_duration(calls, counts.queue_wait.total + ran.total),
            queue=_duration(calls, counts.queue_wait.total),
            compute_input=_duration(calls, 0),
            compute_infer=_duration(calls, ran.total),
            compute_output=_duration(calls, 0),
        ),
    )


def index(entries: Iterable[Entry]) -> oip.RepositoryIndexResponse:
    """List models and versions."""
    return oip.RepositoryIndexResponse(
        models=[
            oip.RepositoryIndexResponse.ModelIndex(
                name=entry.name, version=entry.version, state="READY"
            )
            for entry in entries
        ]
    )


def _tensor_metadata(item: Tensor) -> oip.ModelMetadataResponse.TensorMetadata:
    return oip.ModelMetadataResponse.TensorMetadata(
        name=item.name, datatype=item.datatype, shape=(-1, *item.lengths)
    )


def _number(item: Tensor) -> oip.DataType.ValueType:
    return oip.DataType.Value(f"TYPE_{item.datatype}")


def _duration(count: int, seconds: float) -> oip.StatisticDuration:
    return oip.StatisticDuration(count=count, ns=round(seconds * _NANOSECONDS))
