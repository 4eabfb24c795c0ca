"""Calls a server with tritonclient, in its own environment: python triton_caller.py FOLDER ADDRESS.

Reads `inputs.npz` and `inference.bin` (the descriptor of our .proto) in the folder, and writes
`outputs.npz` ("MODEL VERSION OUTPUT") and `found.json` there.
"""

# ruff: noqa: ANN401 - tritonclient has no types

import json
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

_INPUTS = {"encode": "images", "classify": "images", "decode": "latents"}


def main() -> None:
    folder, address = Path(sys.argv[1]), sys.argv[2]
    inputs = dict(np.load(folder / "inputs.npz"))
    outputs: dict[str, Any] = {}
    with triton.InferenceServerClient(address) as client:
        found = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "server": client.get_server_metadata(as_json=True),
            "index": client.get_model_repository_index(as_json=True)["models"],
            "metadata": {},
            "configured": {},
        }
        for model in found["index"]:
            name, version = model["name"], model["version"]
            assert client.is_model_ready(name, version)
            metadata = client.get_model_metadata(name, version, as_json=True)
            found["metadata"][name] = metadata
            config = client.get_model_config(name, version).config
            found["configured"][name] = [tensor.name for tensor in config.input]
            array = inputs[f"{name.partition('.')[0]} {_INPUTS[name.rpartition('.')[2]]}"]
            result = client.infer(name, tensors(metadata, array), version, request_id="7")
            assert result.get_response().id == "7"
            for output in metadata["outputs"]:
                outputs[f"{name} {version} {output['name']}"] = result.as_numpy(output["name"])
        found["errors"] = [error_of(client, name) for name in ("faces.encode", "nobody.encode")]
        found["runs"] = client.get_inference_statistics("faces.encode", as_json=True)
        outputs["streamed"] = streamed(client, found["metadata"]["faces.encode"], inputs)
        outputs["chosen"] = chosen(client, found["metadata"]["faces.encode"], inputs)
    found["differences"] = differences((folder / "inference.bin").read_bytes())
    np.savez(folder / "outputs.npz", **outputs)
    (folder / "found.json").write_text(json.dumps(found))


def tensors(metadata: Any, array: Any) -> list[Any]:
    """The first input; others may be left out."""
    first = metadata["inputs"][0]
    tensor = triton.InferInput(first["name"], array.shape, first["datatype"])
    tensor.set_data_from_numpy(array)
    return [tensor]


def error_of(client: Any, name: str) -> list[Any]:
    """What is said of an input that no model takes."""
    tensor = triton.InferInput("images", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2), np.float32))
    try:
        client.infer(name, [tensor])
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return []


def streamed(client: Any, metadata: Any, inputs: Any) -> Any:
    """The means that come on a stream, one image a request."""
    results: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: results.put(error or result))
    images = inputs["faces images"]
    for image in images:
        client.async_stream_infer("faces.encode", tensors(metadata, image[None]))
    means = [results.get(timeout=30).as_numpy("mean") for _ in images]
    client.stop_stream()
    return np.concatenate(means)


def chosen(client: Any, metadata: Any, inputs: Any) -> Any:
    """The one output that was asked for."""
    wanted = [triton.InferRequestedOutput("log_variance")]
    given = tensors(metadata, inputs["faces images"])
    result = client.infer("faces.encode", given, outputs=wanted)
    assert result.as_numpy("mean") is None
    return result.as_numpy("log_variance")


def differences(ours: bytes) -> list[str]:
    """What of our .proto is not in Triton's, or otherwise."""
    theirs = {**surface(service_pb2.DESCRIPTOR.serialized_pb)}
    theirs |= surface(model_config_pb2.DESCRIPTOR.serialized_pb)
    return [
        f"{key}: {value}, not {theirs.get(key)}"
        for key, value in surface(ours).items()
        if theirs.get(key) != value
    ]


def surface(data: bytes) -> dict[str, Any]:
    """Names to numbers and types."""
    file = FileDescriptorProto.FromString(data)
    found: dict[str, Any] = {"package": file.package}
    for message in file.message_type:
        found |= fields(message, message.name)
    for enum in file.enum_type:
        found |= {f"{enum.name}.{value.name}": value.number for value in enum.value}
    for service in file.service:
        for method in service.method:
            kinds = [method.input_type, method.output_type]
            streams = [method.client_streaming, method.server_streaming]
            found[f"{service.name}/{method.name}"] = [*kinds, *streams]
    return found


def fields(message: DescriptorProto, path: str) -> dict[str, Any]:
    """Of a message and of those within it."""
    found: dict[str, Any] = {
        f"{path}.{field.name}": [field.number, field.type, field.label, field.type_name]
        for field in message.field
    }
    for inner in message.nested_type:
        found |= fields(inner, f"{path}.{inner.name}")
    return found


if __name__ == "__main__":
    main()
