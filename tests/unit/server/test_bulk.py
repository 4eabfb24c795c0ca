"""Requests of a stream that are answered together."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Container, Sequence

import numpy as np
import pytest
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
from evenface_server.streams import SMALL, WHOLE
from support.bundles import images
from support.messages import array, encode, files


class Engine:
    """Answers with each image's first value, and remembers what it was asked."""

    def __init__(self, fails: Container[int] = (), error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self._fails = fails
        self._error = error or QueueFull("full", retry_after=1.0)

    async def encode(self, call: EncodeCall) -> Latents:
        assert isinstance(call.images, RawPixels)
        pixels = np.frombuffer(call.images.data, np.uint8)
        values = pixels.reshape(-1, call.images.height**2 * 3)[:, :1].astype(np.float32)
        self.asked.append(len(values))
        await asyncio.sleep(0)
        if len(values) in self._fails:
            raise self._error
        return Latents(Served("tiny", "1", "00"), values, -values, None, None)


def bulk_of(
    engine: Engine, pack: Callable[[Latents, EncodeResponse], EncodeResponse] = encode_response
) -> Bulk[EncodeCall, Latents]:
    return Bulk(
        Faults(Metrics()), encode_call, engine.encode, pack, EncodeStreamResponse, lambda _: 1000
    )


async def ask(
    engine: Engine,
    *requests: EncodeRequest,
    pack: Callable[[Latents, EncodeResponse], EncodeResponse] = encode_response,
) -> Sequence[EncodeStreamResponse]:
    bulk = bulk_of(engine, pack)
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


async def test_what_is_refused_together_is_asked_for_one_by_one() -> None:
    engine = Engine({6, 2})
    faces = images(6)
    found = await ask(engine, encode(faces[:1]), encode(faces[1:3]), encode(faces[3:]))
    assert engine.asked == [6, 1, 2, 3]
    assert [reply.WhichOneof("result") for reply in found] == ["response", "error", "response"]
    assert found[1].error.message == "full"
    assert len(firsts(found[2])) == 3


async def test_what_fails_as_it_runs_is_not_run_again() -> None:
    engine = Engine({3}, RuntimeError("broken"))
    faces = images(3)
    found = await ask(engine, encode(faces[:1]), encode(faces[1:]))
    assert engine.asked == [3]
    assert [reply.WhichOneof("result") for reply in found] == ["error", "error"]


@pytest.mark.parametrize(
    ("request_", "weight"),
    [
        (encode(images(1)), SMALL),
        (encode(images(4)), SMALL),
        (encode(images(5)), WHOLE),
        (encode(images(1), sample_seed=0), WHOLE),
        (encode(images(1, size=200)), WHOLE),
        (EncodeRequest(images=files(b"a file")), WHOLE),
        (EncodeRequest(), WHOLE),
    ],
)
def test_requests_of_few_small_images_are_small(request_: EncodeRequest, weight: int) -> None:
    asked = bulk_of(Engine()).take(EncodeStreamRequest(request=request_), None)
    assert asked.weight == weight


async def test_a_request_that_cannot_be_used_is_not_kept() -> None:
    gc.disable()
    try:
        asked = bulk_of(Engine()).take(EncodeStreamRequest(), None)
        assert isinstance(asked.call, InvalidInput)
        error = weakref.ref(asked.call)  # whose traceback holds the request
        del asked
        assert error() is None
    finally:
        gc.enable()


async def test_an_answer_that_cannot_be_packed_is_an_error_of_its_request() -> None:
    def pack(answer: Latents, reply: EncodeResponse) -> EncodeResponse:
        if len(answer.mean) == 2:
            raise InvalidInput("images", "too large")
        return encode_response(answer, reply)

    faces = images(4)
    found = await ask(Engine(), encode(faces[:1]), encode(faces[1:3]), encode(faces[3:]), pack=pack)
    assert [reply.WhichOneof("result") for reply in found] == ["response", "error", "response"]
