"""Reads the few facts of an ONNX file that decide whether it may be run.

ONNX files are protobuf messages (`onnx.proto` of the ONNX project); this reads their wire format
(https://protobuf.dev/programming-guides/encoding/) as far as needed, so that the server depends
on no ONNX package.
"""

from collections.abc import Iterator

from evenface_core.errors import BundleError

# Field numbers in onnx.proto.
_MODEL_GRAPH = 7
_MODEL_OPSET_IMPORT = 8
_OPSET_DOMAIN = 1
_GRAPH_INITIALIZER = 5
_TENSOR_DATA_LOCATION = 14
_DATA_LOCATION_EXTERNAL = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_MAX_VARINT_BYTES = 10


def check_onnx_file(data: bytes, *, name: str) -> None:
    """Refuse a graph with operators beyond standard ONNX or with weights outside of its file.

    Args:
        data: The file.
        name: The file's name, for errors.

    Raises:
        BundleError: The file is no ONNX model, or is refused.
    """
    try:
        domains = {_domain(opset) for opset in _messages(data, _MODEL_OPSET_IMPORT)}
        external = any(_has_external_weights(graph) for graph in _messages(data, _MODEL_GRAPH))
    except (IndexError, ValueError) as error:
        raise BundleError(f"{name}: not an ONNX model") from error
    if not domains:
        raise BundleError(f"{name}: not an ONNX model: it names no operator set")
    foreign = sorted(domains - _STANDARD_DOMAINS)
    if foreign:
        raise BundleError(f"{name}: operator domain '{foreign[0]}' is not allowed, only ai.onnx is")
    if external:
        raise BundleError(f"{name}: weights outside of the file are not allowed")


def _domain(opset: memoryview) -> str:
    return "".join(bytes(value).decode() for value in _messages(opset, _OPSET_DOMAIN))


def _has_external_weights(graph: memoryview) -> bool:
    return any(
        number == _TENSOR_DATA_LOCATION and value == _DATA_LOCATION_EXTERNAL
        for tensor in _messages(graph, _GRAPH_INITIALIZER)
        for number, value in _fields(tensor)
    )


def _messages(data: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(memoryview(data)):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk the fields of one message without copying; fixed-width fields are skipped."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field ends beyond its message")
            yield key >> 3, data[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at + position + 1
    raise ValueError("a number of more than 64 bits")
