"""Arrays, images and histograms to their messages and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from evenface.v1 import common_pb2
from evenface_core.errors import InvalidInput
from evenface_core.images import EncodedFormat
from evenface_core.resampling import LatentHistogram
from evenface_core.tensors import from_bytes, to_bytes
from numpy.typing import NDArray

from evenface_server.calls import HistogramParts, ImageFiles, ImageSource, RawPixels

UInt8 = NDArray[np.uint8]

_DTYPES: Mapping[common_pb2.DataType.ValueType, np.dtype[Any]] = {
    common_pb2.DATA_TYPE_FLOAT32: np.dtype(np.float32),
    common_pb2.DATA_TYPE_FLOAT64: np.dtype(np.float64),
    common_pb2.DATA_TYPE_INT64: np.dtype(np.int64),
}
_TYPES = {dtype: number for number, dtype in _DTYPES.items()}
_FORMATS: Mapping[int, EncodedFormat | None] = {
    common_pb2.IMAGE_FORMAT_UNSPECIFIED: None,
    common_pb2.IMAGE_FORMAT_RAW: None,
    common_pb2.IMAGE_FORMAT_PNG: "png",
    common_pb2.IMAGE_FORMAT_JPEG: "jpeg",
    common_pb2.IMAGE_FORMAT_WEBP: "webp",
}
_MAX_DIMENSIONS = 8


def tensor(array: NDArray[Any]) -> common_pb2.Tensor:
    """Pack an array of float32, float64 or int64."""
    message = common_pb2.Tensor()
    fill(message, array)
    return message


def fill(message: common_pb2.Tensor, array: NDArray[Any]) -> None:
    """Pack an array of float32, float64 or int64 into an empty message."""
    message.data = to_bytes(array)
    message.shape.extend(array.shape)
    message.data_type = _TYPES[array.dtype]


def array(message: common_pb2.Tensor, field: str, *dtypes: type[np.generic]) -> NDArray[Any]:
    """View a tensor as a read-only array.

    Args:
        message: The tensor.
        field: Its name, for errors.
        dtypes: Element types that are allowed.

    Raises:
        InvalidInput: Type or shape cannot be used, or the data does not fit them.
    """
    dtype = _DTYPES.get(message.data_type)
    allowed = [np.dtype(kind) for kind in dtypes]
    if dtype is None or dtype not in allowed:
        names = " or ".join(kind.name for kind in allowed)
        given = "unspecified" if dtype is None else dtype.name
        raise InvalidInput(
            f"{field}.data_type", f"{given}, expected {names}", value=given, limit=names
        )
    check_dimensions(len(message.shape), field)
    return from_bytes(message.data, message.shape, dtype, field=f"{field}.data")


def check_dimensions(count: int, field: str) -> None:
    """Refuse a tensor of so many dimensions that looking at them costs something.

    Raises:
        InvalidInput: There are more than 8.
    """
    if count > _MAX_DIMENSIONS:
        raise InvalidInput(
            f"{field}.shape",
            f"{count} dimensions; limit {_MAX_DIMENSIONS}",
            value=count,
            limit=_MAX_DIMENSIONS,
        )


def matrix(message: common_pb2.Tensor, field: str, *dtypes: type[np.generic]) -> NDArray[Any]:
    """As `array`, for tensors of two dimensions.

    Raises:
        InvalidInput: As `array`, or the number of dimensions is another.
    """
    found = array(message, field, *dtypes)
    if found.ndim != 2:  # noqa: PLR2004
        shown = "×".join(map(str, found.shape)) or "scalar"
        raise InvalidInput(f"{field}.shape", f"{shown} is not two-dimensional", value=found.ndim)
    return found


def vector(message: common_pb2.Tensor, field: str, *dtypes: type[np.generic]) -> NDArray[Any]:
    """As `array`, for tensors of one dimension.

    Raises:
        InvalidInput: As `array`, or the number of dimensions is another.
    """
    found = array(message, field, *dtypes)
    if found.ndim != 1:
        shown = "×".join(map(str, found.shape)) or "scalar"
        raise InvalidInput(f"{field}.shape", f"{shown} is not one-dimensional", value=found.ndim)
    return found


def image_source(message: common_pb2.Images) -> ImageSource:
    """Return how the images were sent.

    Raises:
        InvalidInput: Neither way was chosen.
    """
    kind = message.WhichOneof("source")
    if kind == "raw":
        raw = message.raw
        return RawPixels(raw.data, raw.height, raw.width, raw.channels)
    if kind == "encoded":
        return ImageFiles(message.encoded.data)
    raise InvalidInput("images", "missing: set either raw or encoded")


def images(pictures: UInt8 | list[bytes]) -> common_pb2.Images:
    """Pack raw pixels, uint8 [N, H, W, C], or image files."""
    if isinstance(pictures, list):
        return common_pb2.Images(encoded=common_pb2.EncodedImages(data=pictures))
    _, height, width, channels = pictures.shape
    raw = common_pb2.RawImages(
        data=pictures.tobytes(), height=height, width=width, channels=channels
    )
    return common_pb2.Images(raw=raw)


def file_format(value: int) -> EncodedFormat | None:
    """Return the file format asked for; None for raw pixels.

    Raises:
        InvalidInput: There is no such format.
    """
    if value not in _FORMATS:
        raise InvalidInput("format", f"unknown value {value}", value=value)
    return _FORMATS[value]


def histogram(message: common_pb2.LatentHistogram) -> HistogramParts:
    """Unpack a histogram, whose numbers are not looked at yet.

    Raises:
        InvalidInput: Its tensors are no matrices.
    """
    edges = matrix(message.edges, "histogram.edges", np.float64)
    return HistogramParts(edges, matrix(message.counts, "histogram.counts", np.int64))


def histogram_message(value: LatentHistogram) -> common_pb2.LatentHistogram:
    """Pack a histogram."""
    return common_pb2.LatentHistogram(edges=tensor(value.edges), counts=tensor(value.counts))
