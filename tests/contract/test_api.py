"""The API as clients know it: every element is explained, and none changes its number or type."""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("api.txt")


@pytest.fixture(scope="module")
def every_file(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    out = tmp_path_factory.mktemp("api") / "api.bin"
    include = sysconfig.get_paths()["purelib"]
    protos = sorted(str(path) for path in (ROOT / "protos/evenface").rglob("*.proto"))
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "protos"), "-I", include),
            *("--include_source_info", f"--descriptor_set_out={out}"),
            *protos,
        ],
        check=True,
    )
    parsed = FileDescriptorSet()
    parsed.ParseFromString(out.read_bytes())
    return list(parsed.file)


@pytest.fixture(scope="module")
def files(every_file: list[FileDescriptorProto]) -> list[FileDescriptorProto]:
    """Those of our own API; the other one is not ours to shape."""
    return [file for file in every_file if file.package == "evenface.v1"]


def fields(message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        kind = field.type_name or FieldDescriptorProto.Type.Name(field.type)
        label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
        yield f"{message.name}.{field.name} = {field.number} {label} {kind}"


def values(enum: EnumDescriptorProto) -> Iterator[str]:
    for value in enum.value:
        yield f"{enum.name}.{value.name} = {value.number}"


def surface(file: FileDescriptorProto) -> Iterator[str]:
    for message in file.message_type:
        yield from fields(message)
    for enum in file.enum_type:
        yield from values(enum)
    for service in file.service:
        for method in service.method:
            sent = "stream " * method.client_streaming + method.input_type
            answered = "stream " * method.server_streaming + method.output_type
            yield f"{service.name}.{method.name}({sent}) returns ({answered})"


def test_nothing_that_clients_know_has_gone_or_changed(files: list[FileDescriptorProto]) -> None:
    # To add to the API, add the new lines to api.txt; to take away, make evenface.v2.
    now = [line for file in files for line in surface(file)]
    assert sorted(now) == sorted(SNAPSHOT.read_text().splitlines())


def test_every_element_of_the_api_has_a_comment(every_file: list[FileDescriptorProto]) -> None:
    bare = []
    for file in every_file:
        comments = {
            tuple(place.path)
            for place in file.source_code_info.location
            if place.leading_comments.strip()
        }
        bare += [path for path in elements(file) if path not in comments]
    assert bare == []


def elements(file: FileDescriptorProto) -> Iterator[tuple[int, ...]]:
    """Paths, in the terms of descriptor.proto, of all that needs a comment."""
    for m, message in enumerate(file.message_type):
        yield (4, m)
        yield from ((4, m, 2, f) for f in range(len(message.field)))
    for e, enum in enumerate(file.enum_type):
        yield (5, e)
        yield from ((5, e, 2, v) for v in range(len(enum.value)))
    for s, service in enumerate(file.service):
        yield (6, s)
        yield from ((6, s, 2, m) for m in range(len(service.method)))


def test_enums_start_unspecified_and_carry_their_name(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for enum in file.enum_type:
            prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name).lstrip("_")
            assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)


def test_every_rpc_has_a_request_and_a_reply_of_its_own(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for service in file.service:
            for method in service.method:
                assert method.input_type == f".evenface.v1.{method.name}Request"
                assert method.output_type == f".evenface.v1.{method.name}Response"
