"""Reads the few facts of an ONNX file that decide whether it may be run.

ONNX files are protobuf messages (`onnx.proto` of the ONNX project); this reads their wire format
(https://protobuf.dev/programming-guides/encoding/) as far as needed, so that the server depends
on no ONNX package.
"""

from collections.abc import Iterator, Mapping

from evenface_core.errors import BundleError

# Field numbers in onnx.proto: of what names operator sets, and of what may hold a tensor.
_OPSETS = {"model": 8, "function": 9}
_OPSET_DOMAIN = 1
_PARTS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_TENSOR_DATA_TYPE, _TENSOR_DATA_LOCATION = 2, 14
_FLOAT16 = 10  # TensorProto.DataType

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_MAX_VARINT_BYTES = 10
_UINT32 = 2**32 - 1  # of an enum's value protobuf's parsers drop what is above


def check_onnx_file(data: bytes, *, name: str) -> None:
    """Refuse a graph with operators beyond standard ONNX or with weights outside of its file.

    Args:
        data: The file.
        name: The file's name, for errors.

    Raises:
        BundleError: The file is no ONNX model, or is refused.
    """
    try:
        parts = list(_parts(data))
        domains = {
            _domain(opset)
            for kind, part in parts
            if kind in _OPSETS
            for opset in _messages(part, _OPSETS[kind])
        }
        external = any(kind == "tensor" and _is_external(part) for kind, part in parts)
    except (IndexError, ValueError) as error:
        raise BundleError(f"{name}: not an ONNX model") from error
    if not domains:
        raise BundleError(f"{name}: not an ONNX model: it names no operator set")
    foreign = sorted(domains - _STANDARD_DOMAINS)
    if foreign:
        raise BundleError(f"{name}: operator domain '{foreign[0]}' is not allowed, only ai.onnx is")
    if external:
        raise BundleError(f"{name}: weights outside of the file are not allowed")


def holds_float16(data: bytes) -> bool:
    """Whether a graph has weights in float16.

    Args:
        data: A file that `check_onnx_file` lets pass.
    """
    return any(
        number == _TENSOR_DATA_TYPE and value == _FLOAT16
        for kind, part in _parts(data)
        if kind == "tensor"
        for number, value in _fields(part)
    )


def _domain(opset: memoryview) -> str:
    return "".join(bytes(value).decode() for value in _messages(opset, _OPSET_DOMAIN))


def _parts(data: bytes) -> Iterator[tuple[str, memoryview]]:
    """The model and everything in it that may hold a tensor, at any depth."""
    stack = [("model", memoryview(data))]
    while stack:
        kind, part = stack.pop()
        yield kind, part
        for number, value in _fields(part) if _PARTS[kind] else ():
            inner = _PARTS[kind].get(number)
            if inner is not None and isinstance(value, memoryview):
                stack.append((inner, value))


def _is_external(tensor: memoryview) -> bool:
    return any(
        number == _TENSOR_DATA_LOCATION and isinstance(value, int) and value & _UINT32
        for number, value in _fields(tensor)
    )


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk the fields of one message without copying; fixed-width fields are skipped."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key > _UINT32:
            raise ValueError("a key of more than 32 bits")
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field ends beyond its message")
            yield number, data[at : at + length]
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
