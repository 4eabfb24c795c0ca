"""The two bulk streams: their requests and replies."""

from evenface.v1 import face_service_pb2

from evenface_client import _replies, _requests
from evenface_client._bulk import Wire
from evenface_client._chunks import Chunk
from evenface_client._requests import Target, Wanted
from evenface_client.results import ClassifiedImage, EncodedImage


def encode_wire(
    target: Target, wanted: Wanted
) -> Wire[face_service_pb2.EncodeStreamResponse, EncodedImage]:
    """The stream EncodeStream."""

    def build(number: int, chunk: Chunk) -> face_service_pb2.EncodeStreamRequest:
        request = _requests.encode_request(target, chunk, wanted)
        return face_service_pb2.EncodeStreamRequest(id=number, request=request)

    def split(reply: face_service_pb2.EncodeStreamResponse) -> list[EncodedImage]:
        return _replies.encoded_images(reply.response)

    return Wire("EncodeStream", build, split)


def classify_wire(
    target: Target, threshold: float | None
) -> Wire[face_service_pb2.ClassifyFaceStreamResponse, ClassifiedImage]:
    """The stream ClassifyFaceStream."""

    def build(number: int, chunk: Chunk) -> face_service_pb2.ClassifyFaceStreamRequest:
        request = _requests.classify_request(target, chunk, threshold)
        return face_service_pb2.ClassifyFaceStreamRequest(id=number, request=request)

    def split(reply: face_service_pb2.ClassifyFaceStreamResponse) -> list[ClassifiedImage]:
        return _replies.classified_images(reply.response)

    return Wire("ClassifyFaceStream", build, split)
