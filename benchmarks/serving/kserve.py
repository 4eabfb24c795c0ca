"""The two messages of the Open Inference Protocol (KServe V2) that PyTriton and MLServer speak.

Written out field by field, so that the benchmark needs neither of their packages.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SERVICE = "/inference.GRPCInferenceService"

_VARINT, _BYTES = 0, 2
_SIZES = {1: 8, 5: 4}  # wire types of fixed width


def infer_request(model: str, name: str, datatype: str, shape: Sequence[int], raw: bytes) -> bytes:
    """A ModelInferRequest with one input.

    Args:
        model: Name of the model.
        name: Name of the input.
        datatype: "UINT8" or "BYTES".
        shape: Of the input.
        raw: Its elements; for BYTES, each with its length as four bytes before it.
    """
    lengths = b"".join(_varint(length) for length in shape)
    tensor = _field(1, name.encode()) + _field(2, datatype.encode()) + _field(3, lengths)
    return _field(1, model.encode()) + _field(5, tensor) + _field(7, raw)


def infer_outputs(message: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 outputs of a ModelInferResponse by name.

    Raises:
        ValueError: The outputs do not fit the raw contents.
    """
    found = list(fields(message))
    tensors = [dict(fields(value)) for number, value in found if number == 5]
    raws = [value for number, value in found if number == 6]
    outputs = {}
    for tensor, raw in zip(tensors, raws, strict=True):
        shape = list(_varints(tensor[3]))
        outputs[tensor[1].decode()] = np.frombuffer(raw, "<f4").reshape(shape)
    return outputs


def streamed(message: bytes) -> bytes:
    """The ModelInferResponse within a ModelStreamInferResponse.

    Raises:
        ValueError: It holds an error; the text is the server's.
    """
    parts = dict(fields(message))
    if parts.get(1):
        raise ValueError(parts[1].decode())
    return parts[2]


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and the bytes of each length-delimited field; others are passed over."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            length, at = _read_varint(message, at)
            yield number, message[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _read_varint(message, at)
        else:
            at += _SIZES[kind]


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
