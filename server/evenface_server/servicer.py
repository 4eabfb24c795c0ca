"""The RPCs: unpack, ask the engine, pack. Nothing is decided here."""

# ruff: noqa: N802 - the RPCs' names are those of the .proto files

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from evenface.v1 import face_service_pb2, model_service_pb2
from evenface_core.errors import ServiceUnavailable
from evenface_transport import Call

from evenface_server.codec import models, replies, requests
from evenface_server.engine import Engine
from evenface_server.faults import Faults
from evenface_server.streams import Streams

ReplyT = TypeVar("ReplyT")

_RETRY_AFTER_DRAIN = 1.0


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
        self._faults = faults

    def Encode(
        self, request: face_service_pb2.EncodeRequest, context: Call
    ) -> Awaitable[face_service_pb2.EncodeResponse]:
        """Encode images."""
        return self._encode(request, context, face_service_pb2.EncodeResponse())

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

    def ClassifyFace(
        self, request: face_service_pb2.ClassifyFaceRequest, context: Call
    ) -> Awaitable[face_service_pb2.ClassifyFaceResponse]:
        """Tell faces from other images."""
        return self._classify(request, context, face_service_pb2.ClassifyFaceResponse())

    async def ResampleWeights(
        self, request: face_service_pb2.ResampleWeightsRequest, context: Call
    ) -> face_service_pb2.ResampleWeightsResponse:
        """Compute resampling weights."""
        call = requests.weights_call(request, deadline_of(context))
        return replies.weights_response(await self._engine.weigh(call))

    async def EncodeStream(
        self,
        request_iterator: AsyncIterator[face_service_pb2.EncodeStreamRequest],
        context: Call,
    ) -> AsyncGenerator[face_service_pb2.EncodeStreamResponse, None]:
        """Encode in bulk."""

        async def answer(
            item: face_service_pb2.EncodeStreamRequest,
        ) -> face_service_pb2.EncodeStreamResponse:
            reply = face_service_pb2.EncodeStreamResponse(id=item.id)
            try:
                await self._encode(item.request, context, reply.response)
            except Exception as error:  # noqa: BLE001 - the stream goes on
                reply.error.CopyFrom(self._faults.of(error).status)
            return reply

        async with aclosing(bulk(self._streams, request_iterator, answer)) as answers:
            async for reply in answers:
                yield reply

    async def ClassifyFaceStream(
        self,
        request_iterator: AsyncIterator[face_service_pb2.ClassifyFaceStreamRequest],
        context: Call,
    ) -> AsyncGenerator[face_service_pb2.ClassifyFaceStreamResponse, None]:
        """Tell faces from other images in bulk."""

        async def answer(
            item: face_service_pb2.ClassifyFaceStreamRequest,
        ) -> face_service_pb2.ClassifyFaceStreamResponse:
            reply = face_service_pb2.ClassifyFaceStreamResponse(id=item.id)
            try:
                await self._classify(item.request, context, reply.response)
            except Exception as error:  # noqa: BLE001 - the stream goes on
                reply.error.CopyFrom(self._faults.of(error).status)
            return reply

        async with aclosing(bulk(self._streams, request_iterator, answer)) as answers:
            async for reply in answers:
                yield reply

    async def _encode(
        self,
        request: face_service_pb2.EncodeRequest,
        context: Call,
        reply: face_service_pb2.EncodeResponse,
    ) -> face_service_pb2.EncodeResponse:
        call = requests.encode_call(request, deadline_of(context))
        return replies.encode_response(await self._engine.encode(call), reply)

    async def _classify(
        self,
        request: face_service_pb2.ClassifyFaceRequest,
        context: Call,
        reply: face_service_pb2.ClassifyFaceResponse,
    ) -> face_service_pb2.ClassifyFaceResponse:
        call = requests.classify_call(request, deadline_of(context))
        return replies.classify_response(await self._engine.classify(call), reply)


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


async def bulk(
    streams: Streams, items: AsyncIterator[Any], answer: Callable[[Any], Awaitable[ReplyT]]
) -> AsyncGenerator[ReplyT, None]:
    """Yield the replies to the requests of a stream, in order.

    Raises:
        ServiceUnavailable: The server drains: what was read has been answered, no more is read.
    """
    async with aclosing(streams.answer(items, answer)) as answers:
        async for reply in answers:
            yield reply
    if streams.closed:
        raise ServiceUnavailable("the server is draining", retry_after=_RETRY_AFTER_DRAIN)


def deadline_of(call: Call) -> float | None:
    """Return the call's deadline on the monotonic clock, which the engine and its lanes use."""
    return None if call.deadline == math.inf else call.deadline
