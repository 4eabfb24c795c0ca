"""The RPCs: unpack, ask the engine, pack. Nothing is decided here.

A request that is large is let go of once it has been unpacked, as what was sent would else be held
twice while the call waits.
"""

# ruff: noqa: N802 - the RPCs' names are those of the .proto files

import math
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_transport import Call

from evenface_server.bulk import Bulk
from evenface_server.codec import models, replies, requests
from evenface_server.engine import Engine
from evenface_server.faults import Faults
from evenface_server.joining import most_together
from evenface_server.streams import Streams, serve


class FaceService:
    """Faces in, latents, probabilities and weights out, and back.

    Args:
        engine: Does the work.
        streams: The bulk streams.
        faults: Turns the error of one request on a stream into its reply.
    """

    def __init__(self, engine: Engine, streams: Streams, faults: Faults) -> None:
        self._engine = engine
        self._streams = streams
        most_of = partial(most_together, engine.registry, engine.limits)
        self._encoding = Bulk(
            faults,
            requests.encode_call,
            engine.encode,
            replies.encode_response,
            face_service_pb2.EncodeStreamResponse,
            most_of,
        )
        self._classifying = Bulk(
            faults,
            requests.classify_call,
            engine.classify,
            replies.classify_response,
            face_service_pb2.ClassifyFaceStreamResponse,
            most_of,
        )

    async def Encode(
        self, request: face_service_pb2.EncodeRequest, context: Call
    ) -> face_service_pb2.EncodeResponse:
        """Encode images."""
        call = requests.encode_call(request, deadline_of(context))
        del request
        reply = face_service_pb2.EncodeResponse()
        return replies.encode_response(await self._engine.encode(call), reply)

    async def Decode(
        self, request: face_service_pb2.DecodeRequest, context: Call
    ) -> face_service_pb2.DecodeResponse:
        """Decode latents."""
        call = requests.decode_call(request, deadline_of(context))
        return replies.decode_response(await self._engine.decode(call))

    async def Sample(
        self, request: face_service_pb2.SampleRequest, context: Call
    ) -> face_service_pb2.SampleResponse:
        """Draw faces."""
        call = requests.sample_call(request, deadline_of(context))
        return replies.sample_response(await self._engine.sample(call))

    async def ClassifyFace(
        self, request: face_service_pb2.ClassifyFaceRequest, context: Call
    ) -> face_service_pb2.ClassifyFaceResponse:
        """Tell faces from other images."""
        call = requests.classify_call(request, deadline_of(context))
        del request
        reply = face_service_pb2.ClassifyFaceResponse()
        return replies.classify_response(await self._engine.classify(call), reply)

    async def ResampleWeights(
        self, request: face_service_pb2.ResampleWeightsRequest, context: Call
    ) -> face_service_pb2.ResampleWeightsResponse:
        """Compute resampling weights."""
        call = requests.weights_call(request, deadline_of(context))
        del request
        return replies.weights_response(await self._engine.weigh(call))

    def EncodeStream(
        self,
        request_iterator: AsyncIterator[face_service_pb2.EncodeStreamRequest],
        context: Call,
    ) -> AsyncGenerator[face_service_pb2.EncodeStreamResponse, None]:
        """Encode in bulk."""
        return self._serve(self._encoding, request_iterator, context)

    def ClassifyFaceStream(
        self,
        request_iterator: AsyncIterator[face_service_pb2.ClassifyFaceStreamRequest],
        context: Call,
    ) -> AsyncGenerator[face_service_pb2.ClassifyFaceStreamResponse, None]:
        """Tell faces from other images in bulk."""
        return self._serve(self._classifying, request_iterator, context)

    def _serve(
        self, bulk: Bulk[Any, Any], items: AsyncIterator[Any], context: Call
    ) -> AsyncGenerator[Any, None]:
        asked = _taken(bulk, items, deadline_of(context))
        return serve(self._streams, asked, bulk.begin, lambda each: each.weight)


class ModelService:
    """Says what is served.

    Args:
        engine: Knows the models and limits.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: Call
    ) -> model_service_pb2.ListModelsResponse:
        """List models and limits."""
        del request, context
        registry = self._engine.registry
        return model_service_pb2.ListModelsResponse(
            models=[
                models.model(each.model.bundle, is_default=registry.is_default(each))
                for each in registry
            ],
            limits=models.limits(self._engine.limits),
        )

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: Call
    ) -> model_service_pb2.GetModelResponse:
        """Describe one model."""
        del context
        registry = self._engine.registry
        served = registry.resolve(request.model, request.version)
        return models.get_model_response(
            served.model.bundle, served.card, is_default=registry.is_default(served)
        )


async def _taken(
    bulk: Bulk[Any, Any], items: AsyncIterator[Any], deadline: float | None
) -> AsyncGenerator[Any, None]:
    async for item in items:
        asked = bulk.take(item, deadline)
        del item  # which may be large, and the next one long in coming
        yield asked
        del asked


def deadline_of(call: Call) -> float | None:
    """Return the call's deadline on the monotonic clock, which the engine and its lanes use."""
    return None if call.deadline == math.inf else call.deadline
