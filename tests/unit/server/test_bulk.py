"""Requests of a stream that are answered together."""

import asyncio
from collections.abc import Callable, Container, Sequence

import numpy as np
from evenface.v1.face_service_pb2 import (
    EncodeRequest,
    EncodeResponse,
    EncodeStreamRequest,
    EncodeStreamResponse,
)
from evenface_core.errors import InvalidInput, QueueFull
from evenface_server.bulk import Bulk
from evenface_server.calls import EncodeCall, Latents, RawPixels, Served
from evenface_server.codec.replies import encode_response
from evenface_server.codec.requests import encode_call
from evenface_server.faults import Faults
from evenface_server.metrics import Metrics
from support.bundles import images
from support.messages import array, encode


class Engine:
    """Answers with each image's first value, and remembers what it was asked."""

    def __init__(self, refuses: Container[int] = ()) -> None:
        self.asked: list[int] = []
        self._refuses = refuses

    async def encode(self, call: EncodeCall) -> Latents:
        assert isinstance(call.images, RawPixels)
        pixels = np.frombuffer(call.images.data, np.uint8)
        values = pixels.reshape(-1, call.images.height**2 * 3)[:, :1].astype(np.float32)
        self.asked.append(len(values))
        await asyncio.sleep(0)
        if len(values) in self._refuses:
            raise QueueFull("full", retry_after=1.0)
        return Latents(Served("tiny", "1", "00"), values, -values, None, None)


async def ask(
    engine: Engine,
    *requests: EncodeRequest,
    pack: Callable[[Latents, EncodeResponse], EncodeResponse] = encode_response,
) -> Sequence[EncodeStreamResponse]:
    bulk = Bulk(Faults(Metrics()), encode_call, engine.encode, pack, EncodeStreamResponse)
    items = [
        EncodeStreamRequest(id=10 * place, request=request)
        for place, request in enumerate(requests)
    ]
    asked = [bulk.take(item, None) for item in items]
    found = [reply for work in bulk.begin(asked) for reply in await work]
    assert [reply.id for reply in found] == [item.id for item in items]
    return found


def firsts(reply: EncodeStreamResponse) -> list[float]:
    mean, log_variance = array(reply.response.mean), array(reply.response.log_variance)
    assert (mean == -log_variance).all()
    assert mean.shape == (len(mean), 1)
    return [float(value) for value in mean[:, 0]]


async def test_each_gets_its_own_rows_of_what_ran_as_one() -> None:
    engine, faces = Engine(), images(6)
    requests = [encode(faces[:1]), encode(faces[1:4]), encode(faces[4:])]
    found = await ask(engine, *requests)
    assert engine.asked == [6]
    expected = [[float(face[0, 0, 0]) for face in part] for part in np.split(faces, [1, 4])]
    assert [firsts(reply) for reply in found] == expected


async def test_a_request_that_cannot_be_used_is_told_so_and_the_others_are_answered() -> None:
    engine, one = Engine(), encode(images(1))
    found = await ask(engine, one, one, EncodeRequest(), one)
    assert engine.asked == [2, 1]
    assert [reply.WhichOneof("result") for reply in found] == [
        "response",
        "response",
        "error",
        "response",
    ]


async def test_what_fails_together_is_asked_for_one_by_one() -> None:
    engine = Engine({6, 2})
    faces = images(6)
    found = await ask(engine, encode(faces[:1]), encode(faces[1:3]), encode(faces[3:]))
    assert engine.asked == [6, 1, 2, 3]
    assert [reply.WhichOneof("result") for reply in found] == ["response", "error", "response"]
    assert found[1].error.message == "full"
    assert len(firsts(found[2])) == 3


async def test_an_answer_that_cannot_be_packed_is_an_error_of_its_request() -> None:
    def pack(answer: Latents, reply: EncodeResponse) -> EncodeResponse:
        if len(answer.mean) == 2:
            raise InvalidInput("images", "too large")
        return encode_response(answer, reply)

    faces = images(4)
    found = await ask(Engine(), encode(faces[:1]), encode(faces[1:3]), encode(faces[3:]), pack=pack)
    assert [reply.WhichOneof("result") for reply in found] == ["response", "error", "response"]
