"""How each server is spoken to: prepared requests for the load, and a real client for checks."""

import http.client
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import grpc
import numpy as np
from evenface.v1 import common_pb2
from evenface.v1.face_service_pb2 import (
    EncodeRequest,
    EncodeResponse,
    EncodeStreamRequest,
    EncodeStreamResponse,
)

from benchmarks.serving import kserve
from benchmarks.serving.graph import LATENT, NAME, VERSION, Float32
from benchmarks.serving.workloads import SIDE, Scenario, UInt8, jpeg, pixels

HOST = "127.0.0.1"
GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")

_TIMEOUT = 20.0
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_SERVICE = "/evenface.v1.FaceService"


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent any number of times.

    Attributes:
        path: Of the URL.
        messages: gRPC messages, or one HTTP body.
        headers: Lines as h2load takes them.
    """

    path: str
    messages: tuple[bytes, ...]
    headers: tuple[str, ...] = GRPC_HEADERS

    @property
    def framed(self) -> bytes:
        """The messages as gRPC frames them: not compressed, length, message."""
        return b"".join(struct.pack(">BI", 0, len(item)) + item for item in self.messages)


@dataclass(frozen=True)
class Answer:
    """What a real client got.

    Attributes:
        latents: float32 [images, 2 · 100], mean and log-variance; None where nothing is computed.
        body_bytes: Size of the answer's body on the wire.
    """

    latents: Float32 | None
    body_bytes: int


class Wire(Protocol):
    """A protocol that a server speaks.

    Attributes:
        http1: Whether it is plain HTTP/1; else it is gRPC.
    """

    http1: bool

    def request(self, scenario: Scenario) -> Request | None:
        """The request of a scenario; None where the server has nothing of the kind."""

    def call(self, port: int, request: Request) -> Answer:
        """Send a request with a real client.

        Raises:
            grpc.RpcError: The server refused it, or is not there.
            OSError: Likewise, over HTTP.
            ValueError: The answer makes no sense.
        """


class EvenfaceWire:
    """`evenface.v1.FaceService`: Encode and EncodeStream."""

    http1 = False

    def __init__(self, model: str = "") -> None:
        self._model = model

    def request(self, scenario: Scenario) -> Request:
        """The request of a scenario."""
        call = EncodeRequest(model=self._model, images=_images(scenario))
        if scenario.messages == 1:
            return Request(f"{_SERVICE}/Encode", (call.SerializeToString(),))
        messages = tuple(
            EncodeStreamRequest(id=number, request=call).SerializeToString()
            for number in range(1, scenario.messages + 1)
        )
        return Request(f"{_SERVICE}/EncodeStream", messages)

    def call(self, port: int, request: Request) -> Answer:
        """Send a request with grpcio."""
        streams = request.path.endswith("Stream")
        replies = grpc_call(port, request, streams=streams)
        decoded = [_stream_reply(data) if streams else _reply(data) for data in replies]
        latents = [
            np.hstack([_array(item.mean), _array(item.log_variance)]).astype(np.float32)
            for item in decoded
        ]
        return Answer(np.vstack(latents), framed_size(replies))


class NoopWire:
    """A server that answers every message at once with one of the right size."""

    http1 = False

    def request(self, scenario: Scenario) -> Request:
        """The frames that evenface gets, on a path that names the scenario."""
        method = "Stream" if scenario.messages > 1 else "Call"
        return replace(EvenfaceWire().request(scenario), path=f"/noop.{method}/{scenario.key}")

    def call(self, port: int, request: Request) -> Answer:
        """Send a request with grpcio."""
        replies = grpc_call(port, request, streams="Stream" in request.path)
        return Answer(None, framed_size(replies))


class KserveWire:
    """The Open Inference Protocol.

    Args:
        wrapped: Whether replies on a stream are ModelStreamInferResponses, as Triton's; MLServer
            sends ModelInferResponses.
        raw: Model and input that take pixels.
        files: Model and input that take image files.
    """

    http1 = False

    def __init__(
        self,
        *,
        wrapped: bool,
        raw: tuple[str, str] = ("encoder", "images"),
        files: tuple[str, str] = ("jpeg", "files"),
    ) -> None:
        self._wrapped = wrapped
        self._raw, self._files = raw, files

    def request(self, scenario: Scenario) -> Request:
        """The request of a scenario."""
        if scenario.file:
            data = jpeg(*scenario.file)
            raw = struct.pack("<I", len(data)) + data
            message = kserve.infer_request(*self._files, "BYTES", (1, 1), raw)
        else:
            shape = (scenario.images, SIDE, SIDE, 3)
            raw = pixels(scenario.images).tobytes()
            message = kserve.infer_request(*self._raw, "UINT8", shape, raw)
        method = "ModelStreamInfer" if scenario.messages > 1 else "ModelInfer"
        return Request(f"{kserve.SERVICE}/{method}", (message,) * scenario.messages)

    def call(self, port: int, request: Request) -> Answer:
        """Send a request with grpcio."""
        streams = request.path.endswith("ModelStreamInfer")
        replies = grpc_call(port, request, streams=streams)
        wrapped = streams and self._wrapped
        outputs = [
            kserve.infer_outputs(kserve.streamed(data) if wrapped else data) for data in replies
        ]
        latents = [np.hstack([item["mean"], item["log_variance"]]) for item in outputs]
        return Answer(np.vstack(latents), framed_size(replies))


class HttpWire:
    """HTTP/1: POST pixels to /raw, of many images to /many, or a file to /jpeg.

    Back come the means of all images, then their log-variances.
    """

    http1 = True

    def request(self, scenario: Scenario) -> Request | None:
        """The request of a scenario."""
        if scenario.messages > 1:
            return None
        data = jpeg(*scenario.file) if scenario.file else pixels(scenario.images).tobytes()
        path = "/jpeg" if scenario.file else "/raw" if scenario.images == 1 else "/many"
        return Request(path, (data,), ("content-type: application/octet-stream",))

    def call(self, port: int, request: Request) -> Answer:
        """Send a request with the standard library."""
        connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT)
        headers = dict(line.split(": ", 1) for line in request.headers)
        try:
            connection.request("POST", request.path, request.messages[0], headers)
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        if reply.status != http.HTTPStatus.OK:
            raise ValueError(f"HTTP {reply.status}: {data[:200].decode(errors='replace')}")
        halves = np.frombuffer(data, "<f4").reshape(2, -1, LATENT)
        return Answer(np.hstack(list(halves)), len(data))


def grpc_call(port: int, request: Request, *, streams: bool) -> list[bytes]:
    """Send prepared messages with grpcio and return the replies.

    Raises:
        grpc.RpcError: The server refused them, or is not there.
    """
    with grpc.insecure_channel(f"{HOST}:{port}", options=_OPTIONS) as channel:
        if streams:
            many: grpc.StreamStreamMultiCallable[bytes, bytes]
            many = channel.stream_stream(request.path, _as_is, _as_is)
            return list(many(iter(request.messages), timeout=_TIMEOUT))
        one: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        one = channel.unary_unary(request.path, _as_is, _as_is)
        return [one(request.messages[0], timeout=_TIMEOUT)]


def framed_size(messages: Sequence[bytes]) -> int:
    """Bytes of messages with gRPC's frames around them."""
    return sum(5 + len(message) for message in messages)


def reply_size(scenario: Scenario) -> int:
    """Bytes of evenface's reply to one message, which the no-op server imitates."""
    zeros = np.zeros((scenario.images, LATENT), np.float32)
    tensor = common_pb2.Tensor(
        data=zeros.tobytes(), shape=zeros.shape, data_type=common_pb2.DATA_TYPE_FLOAT32
    )
    reply = EncodeResponse(model=NAME, version=VERSION, mean=tensor, log_variance=tensor)
    if scenario.messages > 1:
        return EncodeStreamResponse(id=1, response=reply).ByteSize()
    return reply.ByteSize()


def _as_is(message: bytes) -> bytes:
    return message


def _images(scenario: Scenario) -> common_pb2.Images:
    if scenario.file:
        files = common_pb2.EncodedImages(data=[jpeg(*scenario.file)] * scenario.images)
        return common_pb2.Images(encoded=files)
    data = pixels(scenario.images).tobytes()
    raw = common_pb2.RawImages(data=data, height=SIDE, width=SIDE, channels=3)
    return common_pb2.Images(raw=raw)


def _reply(data: bytes) -> EncodeResponse:
    return EncodeResponse.FromString(data)


def _stream_reply(data: bytes) -> EncodeResponse:
    reply = EncodeStreamResponse.FromString(data)
    if reply.WhichOneof("result") == "error":
        raise ValueError(f"code {reply.error.code}: {reply.error.message}")
    return reply.response


def _array(tensor: common_pb2.Tensor) -> Float32:
    return np.frombuffer(tensor.data, "<f4").reshape(tuple(tensor.shape))


def right_answer(encode: "Encoder", scenario: Scenario) -> Float32:
    """What every server must answer: float32 [images of a request, 2 · 100]."""
    if scenario.file:
        one = encode.encode_file(jpeg(*scenario.file))
        return np.vstack([one] * scenario.images_per_request)
    images: UInt8 = pixels(scenario.images)
    return np.vstack([encode.encode(images)] * scenario.messages)


class Encoder(Protocol):
    """What says the right answer; `graph.Reference` does."""

    def encode(self, images: UInt8) -> Float32:
        """Latents of images."""

    def encode_file(self, data: bytes) -> Float32:
        """Latents of an image file."""
