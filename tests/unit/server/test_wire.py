"""Messages that are refused before they are parsed."""

import pytest
from evenface.oip import inference_pb2 as oip
from evenface.v1 import common_pb2
from evenface.v1.common_pb2 import Images, RawImages, Tensor
from evenface.v1.face_service_pb2 import (
    ClassifyFaceRequest,
    DecodeRequest,
    EncodeRequest,
    EncodeStreamRequest,
    SampleRequest,
)
from evenface_core.errors import InvalidInput
from evenface_server.codec.wire import check_fields, leading_names
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from support.messages import files

FILES = files(*[b"file"] * 20)
# images, encoded and the files
REQUEST = EncodeRequest(model="faces", images=FILES)
FIELDS = 1 + 2 + 20
MAP = DecodeRequest(attributes=[common_pb2.Attributes(values=dict.fromkeys("abcdefghij", 1.0))])


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (REQUEST, FIELDS),
        (EncodeStreamRequest(id=2**40, request=REQUEST), FIELDS + 2),
        (MAP, 11),
        (DecodeRequest(latents=common_pb2.Tensor(data=bytes(99), shape=[1] * 999)), 3),
        (DecodeRequest.FromString(b"\x22\x00" * 50), 50),
    ],
    ids=["files", "nested", "map", "packed numbers", "empty attributes"],
)
def test_fields_are_counted_at_any_depth(message: Message, fields: int) -> None:
    data, kind = message.SerializeToString(), message.DESCRIPTOR
    assert isinstance(kind, Descriptor)
    check_fields(data, kind, fields)
    with pytest.raises(InvalidInput, match=f"more than {fields - 1} fields"):
        check_fields(data, kind, fields - 1)


MANY = [1] * (2**19 + 1)
TYPED = oip.InferTensorContents
INPUT = oip.ModelInferRequest.InferInputTensor


@pytest.mark.parametrize(
    "message",
    [
        DecodeRequest(latents=common_pb2.Tensor(shape=MANY + MANY)),
        oip.ModelInferRequest(inputs=[INPUT(contents=TYPED(int64_contents=MANY))] * 2),
        oip.ModelInferRequest(
            inputs=[INPUT(contents=TYPED(bool_contents=map(bool, MANY), uint_contents=MANY))]
        ),
        oip.ModelInferRequest(inputs=[INPUT(shape=MANY + MANY)]),
    ],
    ids=["one field", "two messages", "two fields", "a shape"],
)
def test_numbers_that_parsing_makes_eight_times_as_large_are_counted_over_all_fields(
    message: Message,
) -> None:
    data, kind = message.SerializeToString(), message.DESCRIPTOR
    assert isinstance(kind, Descriptor)
    with pytest.raises(InvalidInput, match=f"more than {2**20} bytes of numbers"):
        check_fields(data, kind, 100)


def test_as_many_small_numbers_as_a_typed_tensor_may_have_are_let_through() -> None:
    contents = TYPED(uint_contents=[255] * 2**18, fp32_contents=[1] * 2**18)
    request = oip.ModelInferRequest(inputs=[INPUT(contents=contents)])
    check_fields(request.SerializeToString(), request.DESCRIPTOR, 100)


def test_what_can_not_have_too_many_is_not_looked_at() -> None:
    check_fields(b"\xff" * 20, REQUEST.DESCRIPTOR, 10)


@pytest.mark.parametrize("end", [b"\x22\xff", b"\x22\x05ab", b"\x22"])
def test_a_cut_off_end_hides_no_fields(end: bytes) -> None:
    data = REQUEST.SerializeToString() + end
    with pytest.raises(InvalidInput, match="ends within a field"):
        check_fields(data, REQUEST.DESCRIPTOR, FIELDS + 5)


@pytest.mark.parametrize("number", [b"\xff" * 10 + b"\x01", b"\xff" * 300], ids=["11", "endless"])
def test_numbers_longer_than_any_are_not_added_up(number: bytes) -> None:
    data = REQUEST.SerializeToString()
    check_fields(data + b"\x78" + b"\xff" * 9 + b"\x01", REQUEST.DESCRIPTOR, FIELDS + 1)
    for field in (b"\x78" + number, number + b"\0", b"\x7a" + number):
        with pytest.raises(InvalidInput, match="a number of more than 10 bytes"):
            check_fields(data + field + bytes(300), REQUEST.DESCRIPTOR, 200)


def _rest(request: Message) -> int:
    """Bytes of a request without its names."""
    other = type(request)()
    other.CopyFrom(request)
    other.ClearField("model")
    other.ClearField("version")
    return len(other.SerializeToString())


@pytest.mark.parametrize(
    ("model", "version"), [("", ""), ("faces", ""), ("", "2"), ("faces", "2"), ("f" * 200, "é")]
)
def test_a_request_begins_with_the_names_of_what_it_means(model: str, version: str) -> None:
    for request in (
        EncodeRequest(model=model, version=version, images=Images(raw=RawImages(data=b"x" * 9))),
        DecodeRequest(model=model, version=version, latents=Tensor(data=b"x" * 9)),
        SampleRequest(model=model, version=version, count=1),
        ClassifyFaceRequest(model=model, version=version, images=Images(raw=RawImages(height=1))),
    ):
        data = request.SerializeToString()
        found = leading_names(data)
        assert found == (model, version, len(data) - _rest(request) + 1)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"\x0a",
        b"\x0a\x05fac",
        b"\x0a\x05faces",
        b"\x0a\x02\xff\xff\x1a",
        b"\x0a" + b"\xff" * 20,
    ],
)
def test_names_that_are_not_here_yet_or_are_none_are_not_guessed(beginning: bytes) -> None:
    assert leading_names(beginning) is None
