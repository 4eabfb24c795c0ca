"""ModelInferRequests to the engine's calls."""

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from evenface.oip import inference_pb2 as oip
from evenface_core.errors import InvalidInput
from evenface_core.tensors import from_bytes
from numpy.typing import NDArray

from evenface_server.calls import (
    ClassifyCall,
    DecodeCall,
    EncodeCall,
    ImageFiles,
    ImageSource,
    RawPixels,
    Target,
)
from evenface_server.codec.tensors import check_dimensions
from evenface_server.intake import Limits
from evenface_server.oip.catalog import Entry

Float32 = NDArray[np.float32]

# Whatever else goes along with a request is a hint; these ask for what would not be done.
_REFUSED: Final = ("sequence_id", "shared_memory_region", "classification")
# Numbers one by one take some 40 ns each, which hold up all other requests.
_MOST_TYPED: Final = 2**18
_IMAGE_DIMENSIONS: Final = 4
_BYTE: Final = 255
_LENGTH: Final = struct.Struct("<I")


class _Input(NamedTuple):
    """One input as it was sent; `raw` is None where its elements are in `contents`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | None
    contents: oip.InferTensorContents


def encode_call(request: oip.ModelInferRequest, target: Target, limits: Limits) -> EncodeCall:
    """Unpack a request to encode.

    Raises:
        InvalidInput: As all functions here: names the input that cannot be used.
    """
    given = _inputs(request, ("images",))
    return EncodeCall(target, _images(given["images"], limits))


def classify_call(request: oip.ModelInferRequest, target: Target, limits: Limits) -> ClassifyCall:
    """Unpack a request to tell faces from other images."""
    given = _inputs(request, ("images",))
    return ClassifyCall(target, _images(given["images"], limits), threshold=None)


def decode_call(
    request: oip.ModelInferRequest, target: Target, conditions: Sequence[str]
) -> DecodeCall:
    """Unpack a request to decode.

    Args:
        request: The request.
        target: Which model it means.
        conditions: Names of the model's conditions, in order.
    """
    given = _inputs(request, ("latents",), ("conditions",) if conditions else ())
    latents = _floats(given["latents"])
    attributes: Sequence[Mapping[str, float]] = ()
    if "conditions" in given:
        values = _floats(given["conditions"])
        if values.shape != (len(latents), len(conditions)):
            raise InvalidInput(
                "conditions.shape",
                f"{_shown(values.shape)} is not {len(latents)}×{len(conditions)}",
                value=_shown(values.shape),
            )
        attributes = [dict(zip(conditions, row, strict=True)) for row in values.tolist()]
    return DecodeCall(target, latents, attributes, file_format=None)


def wanted_outputs(request: oip.ModelInferRequest, entry: Entry) -> Sequence[str]:
    """Return the names of the outputs that a request asks for, in its order.

    Raises:
        InvalidInput: There is no such output, or it is asked for in a form that there is not.
    """
    _check_parameters("parameters", request.parameters)
    known = entry.output_names
    if not request.outputs:
        return known
    wanted: dict[str, None] = {}
    for index, output in enumerate(request.outputs):
        _check_name("outputs", index, output.name, known, wanted)
        _check_parameters(f"outputs[{index}].parameters", output.parameters)
        wanted[output.name] = None
    return list(wanted)


def _inputs(
    request: oip.ModelInferRequest, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, _Input]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            "raw_input_contents",
            f"{len(raw)} given for {len(request.inputs)} inputs",
            value=len(raw),
            limit=len(request.inputs),
        )
    found: dict[str, _Input] = {}
    for index, tensor in enumerate(request.inputs):
        _check_name("inputs", index, tensor.name, (*required, *optional), found)
        _check_parameters(f"inputs[{index}].parameters", tensor.parameters)
        check_dimensions(len(tensor.shape), tensor.name)
        if raw and tensor.HasField("contents"):
            raise InvalidInput(
                f"{tensor.name}.contents", "set together with raw_input_contents; one is allowed"
            )
        data = raw[index] if raw else None
        found[tensor.name] = _Input(
            tensor.name, tensor.datatype, tuple(tensor.shape), data, tensor.contents
        )
    for name in required:
        if name not in found:
            raise InvalidInput("inputs", f"'{name}' is missing")
    return found


def _check_name(
    field: str, index: int, name: str, known: Sequence[str], found: Collection[str]
) -> None:
    if name not in known:
        problem = f"'{name[:100]}' is unknown; known: {', '.join(known)}"
        raise InvalidInput(field, problem, index=index, value=name[:100])
    if name in found:
        raise InvalidInput(field, f"'{name}' stands there twice", index=index, value=name)


def _check_parameters(field: str, parameters: Mapping[str, oip.InferParameter]) -> None:
    for name in _REFUSED:
        if name in parameters:
            raise InvalidInput(field, f"'{name}' is not supported", value=name)


def _images(given: _Input, limits: Limits) -> ImageSource:
    if given.datatype == "BYTES":
        return ImageFiles(_files(given, limits))
    _check_datatype(given, "UINT8", "BYTES")
    if len(given.shape) != _IMAGE_DIMENSIONS:
        raise InvalidInput(
            f"{given.name}.shape",
            f"{_shown(given.shape)} is not N×H×W×C",
            value=_shown(given.shape),
        )
    field, data = f"{given.name}.raw_input_contents", given.raw
    if data is None:
        field, data = f"{given.name}.contents.uint_contents", _small_numbers(given)
    from_bytes(data, given.shape, np.uint8, field=field)
    _, height, width, channels = given.shape
    return RawPixels(data, height, width, channels)


def _files(given: _Input, limits: Limits) -> Sequence[bytes]:
    """The elements of a tensor of files, [N] or, as Triton batches them, [N, 1]."""
    field = f"{given.name}.shape"
    count = given.shape[0] if given.shape else 0
    if given.shape not in ((count,), (count, 1)):
        raise InvalidInput(
            field, f"{_shown(given.shape)} is neither N nor N×1", value=_shown(given.shape)
        )
    limits.check_count(field, count)
    files = given.contents.bytes_contents if given.raw is None else _elements(given, count)
    if len(files) != count:
        raise InvalidInput(
            given.name, f"{len(files)} elements, but the shape has {count}", value=len(files),
            limit=count,
        )  # fmt: skip
    return files


def _elements(given: _Input, most: int) -> Sequence[bytes]:
    data, at, found = given.raw or b"", 0, list[bytes]()
    while at < len(data) and len(found) <= most:
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(data, at)[0] if start <= len(data) else start
        if end > len(data):
            raise InvalidInput(
                f"{given.name}.raw_input_contents",
                f"{len(data)} bytes end within an element",
                index=len(found),
                value=len(data),
                limit=end,
            )
        found.append(data[start:end])
        at = end
    return found


def _floats(given: _Input) -> Float32:
    _check_datatype(given, "FP32")
    field, data = f"{given.name}.raw_input_contents", given.raw
    if data is None:
        field = f"{given.name}.contents.fp32_contents"
        data = _numbers(given, given.contents.fp32_contents, np.float32).tobytes()
    values: NDArray[Any] = from_bytes(data, given.shape, np.float32, field=field)
    if values.ndim != 2:  # noqa: PLR2004
        raise InvalidInput(
            f"{given.name}.shape",
            f"{_shown(given.shape)} is not two-dimensional",
            value=_shown(given.shape),
        )
    return values


def _small_numbers(given: _Input) -> bytes:
    numbers = _numbers(given, given.contents.uint_contents, np.uint32)
    if numbers.size and numbers.max() > _BYTE:
        index = int(numbers.argmax())
        raise InvalidInput(
            f"{given.name}.contents.uint_contents",
            f"{numbers[index]} is above {_BYTE}",
            index=index,
            value=int(numbers[index]),
            limit=_BYTE,
        )
    return numbers.astype(np.uint8).tobytes()


def _numbers(given: _Input, values: Sequence[float], kind: type[np.generic]) -> NDArray[Any]:
    if len(values) > _MOST_TYPED:
        raise InvalidInput(
            f"{given.name}.contents",
            f"{len(values)} elements; limit {_MOST_TYPED}: send more as raw_input_contents",
            value=len(values),
            limit=_MOST_TYPED,
        )
    return np.array(values, kind)


def _check_datatype(given: _Input, *allowed: str) -> None:
    if given.datatype not in allowed:
        names = " or ".join(allowed)
        shown = given.datatype[:20] or "none"
        raise InvalidInput(
            f"{given.name}.datatype", f"{shown}, expected {names}", value=shown, limit=names
        )


def _shown(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
