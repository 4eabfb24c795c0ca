"""Shorthand for the messages of the Open Inference Protocol in tests."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from evenface.oip import inference_pb2 as oip
from evenface.oip.inference_pb2_grpc import GRPCInferenceServiceStub
from numpy.typing import NDArray

from support.servers import Running

if TYPE_CHECKING:  # this one exists for type checkers alone
    from evenface.oip.inference_pb2_grpc import GRPCInferenceServiceAsyncStub

Array = NDArray[Any]

DATATYPES = {"u1": "UINT8", "f4": "FP32", "f8": "FP64"}
_NUMPY = {"UINT8": "u1", "FP32": "<f4", "BOOL": "?"}


def inference(server: Running) -> "GRPCInferenceServiceAsyncStub":
    """A stub on the server's channel."""
    stub: Any = GRPCInferenceServiceStub(server.channel)
    return stub  # type: ignore[no-any-return]


def infer(model: str, inputs: Mapping[str, Array], **fields: Any) -> oip.ModelInferRequest:  # noqa: ANN401
    """A request whose inputs are raw."""
    tensors = [
        oip.ModelInferRequest.InferInputTensor(
            name=name, datatype=DATATYPES[array.dtype.str[1:]], shape=array.shape
        )
        for name, array in inputs.items()
    ]
    raw = [array.tobytes() for array in inputs.values()]
    return oip.ModelInferRequest(model_name=model, inputs=tensors, raw_input_contents=raw, **fields)


def typed(
    model: str,
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    **contents: Any,  # noqa: ANN401
) -> oip.ModelInferRequest:
    """A request with one input whose elements are in a typed field."""
    tensor = oip.ModelInferRequest.InferInputTensor(
        name=name,
        datatype=datatype,
        shape=shape,
        contents=oip.InferTensorContents(**contents),
    )
    return oip.ModelInferRequest(model_name=model, inputs=[tensor])


def outputs(response: oip.ModelInferResponse) -> dict[str, Array]:
    """The outputs of a reply by name, in its order."""
    return {
        tensor.name: np.frombuffer(raw, _NUMPY[tensor.datatype]).reshape(tuple(tensor.shape))
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }
