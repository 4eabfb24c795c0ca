"""The engine's answers to replies.

Those of the most frequent calls are filled in where they will be sent from: protobuf copies a
message into another by writing and parsing it, which took half the time of packing a reply.
"""

from evenface.v1 import face_service_pb2

from evenface_server.calls import Decisions, Latents, Pictures, Weighting
from evenface_server.codec.tensors import fill, histogram_message, images, tensor
from evenface_server.maths import logistic


def encode_response(
    answer: Latents, reply: face_service_pb2.EncodeResponse
) -> face_service_pb2.EncodeResponse:
    """Pack the answer to Encode into an empty reply, and return that."""
    reply.model, reply.version, reply.manifest_digest = answer.served
    fill(reply.mean, answer.mean)
    fill(reply.log_variance, answer.log_variance)
    if answer.sample is not None:
        fill(reply.sample, answer.sample)
    if answer.logits is not None:
        fill(reply.logits, answer.logits)
        fill(reply.probabilities, logistic(answer.logits))
    return reply


def classify_response(
    answer: Decisions, reply: face_service_pb2.ClassifyFaceResponse
) -> face_service_pb2.ClassifyFaceResponse:
    """Pack the answer to ClassifyFace into an empty reply, and return that."""
    reply.model, reply.version, reply.manifest_digest = answer.served
    fill(reply.logits, answer.logits)
    fill(reply.probabilities, answer.probabilities)
    reply.is_face.extend(answer.is_face.tolist())
    reply.threshold = answer.threshold
    return reply


def decode_response(answer: Pictures) -> face_service_pb2.DecodeResponse:
    """Pack the answer to Decode."""
    return face_service_pb2.DecodeResponse(
        model=answer.served.model,
        version=answer.served.version,
        manifest_digest=answer.served.digest,
        images=images(answer.images),
    )


def sample_response(answer: Pictures) -> face_service_pb2.SampleResponse:
    """Pack the answer to Sample."""
    return face_service_pb2.SampleResponse(
        model=answer.served.model,
        version=answer.served.version,
        manifest_digest=answer.served.digest,
        images=images(answer.images),
        latents=tensor(answer.latents),
    )


def weights_response(answer: Weighting) -> face_service_pb2.ResampleWeightsResponse:
    """Pack the answer to ResampleWeights."""
    weights = answer.weights
    return face_service_pb2.ResampleWeightsResponse(
        model=answer.served.model,
        version=answer.served.version,
        manifest_digest=answer.served.digest,
        weights=tensor(weights.values),
        histogram=histogram_message(answer.histogram),
        effective_sample_size=weights.effective_sample_size,
        temper=weights.temper,
        log_total=weights.log_total,
    )
