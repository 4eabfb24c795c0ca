"""The engine's answers to replies."""

from evenface.v1 import face_service_pb2

from evenface_server.calls import Decisions, Latents, Pictures, Weighting
from evenface_server.codec.tensors import histogram_message, images, tensor
from evenface_server.maths import logistic


def encode_response(answer: Latents) -> face_service_pb2.EncodeResponse:
    """Pack the answer to Encode."""
    logits = answer.logits
    return face_service_pb2.EncodeResponse(
        model=answer.served.model,
        version=answer.served.version,
        manifest_digest=answer.served.digest,
        mean=tensor(answer.mean),
        log_variance=tensor(answer.log_variance),
        sample=None if answer.sample is None else tensor(answer.sample),
        logits=None if logits is None else tensor(logits),
        probabilities=None if logits is None else tensor(logistic(logits)),
    )


def classify_response(answer: Decisions) -> face_service_pb2.ClassifyFaceResponse:
    """Pack the answer to ClassifyFace."""
    return face_service_pb2.ClassifyFaceResponse(
        model=answer.served.model,
        version=answer.served.version,
        manifest_digest=answer.served.digest,
        logits=tensor(answer.logits),
        probabilities=tensor(answer.probabilities),
        is_face=answer.is_face.tolist(),
        threshold=answer.threshold,
    )


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
