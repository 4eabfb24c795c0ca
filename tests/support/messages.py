"""Shorthand for the API's messages in tests."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import ClassifyFaceRequest, EncodeRequest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray

_DTYPES = {
    common_pb2.DATA_TYPE_FLOAT32: "<f4",
    common_pb2.DATA_TYPE_FLOAT64: "<f8",
    common_pb2.DATA_TYPE_INT64: "<i8",
}
_TYPES = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}


def tensor(array: NDArray[Any]) -> common_pb2.Tensor:
    """An array as a message."""
    return common_pb2.Tensor(data=array.tobytes(), shape=array.shape, data_type=_TYPES[array.dtype])


def array(message: common_pb2.Tensor) -> NDArray[Any]:
    """A message as an array."""
    return np.frombuffer(message.data, _DTYPES[message.data_type]).reshape(tuple(message.shape))


def raw(images: NDArray[np.uint8]) -> common_pb2.Images:
    """uint8 [N, H, W, C] as raw pixels."""
    _, height, width, channels = images.shape
    return common_pb2.Images(
        raw=common_pb2.RawImages(
            data=images.tobytes(), height=height, width=width, channels=channels
        )
    )


def files(*data: bytes) -> common_pb2.Images:
    """Image files."""
    return common_pb2.Images(encoded=common_pb2.EncodedImages(data=data))


def pixels(message: common_pb2.Images) -> NDArray[np.uint8]:
    """Raw pixels of a reply, uint8 [N, H, W, C]."""
    found = message.raw
    return np.frombuffer(found.data, np.uint8).reshape(
        -1, found.height, found.width, found.channels
    )


def encode(images: NDArray[np.uint8], **fields: Any) -> EncodeRequest:  # noqa: ANN401
    """An EncodeRequest of raw pixels."""
    return EncodeRequest(images=raw(images), **fields)


def classify(images: NDArray[np.uint8], **fields: Any) -> ClassifyFaceRequest:  # noqa: ANN401
    """A ClassifyFaceRequest of raw pixels."""
    return ClassifyFaceRequest(images=raw(images), **fields)


class Details(NamedTuple):
    """What an error says."""

    code: int
    message: str
    infos: Sequence[Any]
    bad_requests: Sequence[Any]
    retries: Sequence[Any]

    @property
    def info(self) -> Any:  # noqa: ANN401
        """The one ErrorInfo."""
        (info,) = self.infos
        return info


def details(error: grpc.aio.AioRpcError) -> Details:
    """Unpack the google.rpc.Status of a failed call."""
    call: Any = error
    status = rpc_status.from_call(call)
    assert status is not None, f"no google.rpc.Status in {error!r}"
    return status_details(status)


def status_details(status: status_pb2.Status) -> Details:
    """Unpack a google.rpc.Status."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found: list[list[Any]] = [[], [], []]
    for packed in status.details:
        for kind, into in zip(kinds, found, strict=True):
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                into.append(message)
    return Details(status.code, status.message, found[0], found[1], found[2])
