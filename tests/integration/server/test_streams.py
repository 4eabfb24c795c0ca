"""What a stream holds is bounded."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from evenface.v1.face_service_pb2 import (
    EncodeRequest,
    EncodeResponse,
    EncodeStreamRequest,
)
from evenface_server.admission import Place
from evenface_server.batching import Lane
from grpc.aio import AioRpcError
from support.asking import stream_together
from support.bundles import Tiny, images, write_tiny_bundle
from support.messages import encode
from support.patience import PATIENCE
from support.servers import Running, admitted, running

RECEIVED = (
    'grpc_server_msg_received_total{grpc_method="EncodeStream",'
    'grpc_service="evenface.v1.FaceService",grpc_type="bidi_stream"}'
)

QUEUED = "evenface_queue_wait_seconds_count"


async def test_a_client_that_stops_reading_stops_being_read(tiny_models: Path) -> None:
    settings = {"stream_requests": 4}
    async with running(tiny_models, **settings) as server:
        open_stream: Any = server.face.EncodeStream
        stream = open_stream()
        # 300 KB in, 13 KB out: replies that nobody reads fill the connection's window, some MB.
        request = encode(images(400))

        async def write_all() -> None:
            for number in range(2000):
                await stream.write(EncodeStreamRequest(id=number, request=request))

        writing = asyncio.create_task(write_all())
        read = await _when_it_stops_growing(lambda: server.samples()[RECEIVED])
        assert read < 1000
        assert not writing.done()
        for number in range(10):
            assert (await stream.read()).id == number
        writing.cancel()
        stream.cancel()
        await admitted(server.app, 0)


async def _when_it_stops_growing(value: Any) -> float:  # noqa: ANN401
    last, same = -1.0, 0
    async with asyncio.timeout(PATIENCE):
        while same < 5:
            await asyncio.sleep(0.05)
            now = await asyncio.to_thread(value)
            last, same = now, same + 1 if now == last else 0
    return last


async def test_a_stream_works_on_several_requests_at_a_time(tiny_models: Path) -> None:
    async with running(tiny_models, stream_requests=8, max_batch_rows=64) as server:
        lane = server.app.engine.registry.resolve("", "").lanes["encode"]
        request = encode(images(5))
        stream = server.face.EncodeStream(
            EncodeStreamRequest(id=number, request=request) for number in range(400)
        )
        held = [lane.rows async for _ in stream]
    assert 5 < max(held) <= 8 * 5


async def test_a_stream_works_on_four_times_as_many_small_requests(tiny_models: Path) -> None:
    async with running(tiny_models, stream_requests=4, max_batch_rows=64) as server:
        ran = _note_runs(server.app.engine.registry.resolve("", "").lanes["encode"])
        await stream_together(server, "Encode", [encode(images(1))] * 40)
        together = list(ran)
        ran.clear()
        await stream_together(server, "Encode", [encode(images(1, size=20))] * 3)
    assert sum(together) == 40
    assert max(together) == together[0] == 4 * 4
    assert ran == [1, 1, 1]  # as they are not of the model's size


@pytest.mark.parametrize("wrong", ["cancel", "half"])
async def test_a_stream_that_is_cut_off_leaves_nothing_behind(
    tiny_models: Path, wrong: str
) -> None:
    async with running(tiny_models) as server:
        open_stream: Any = server.face.EncodeStream
        stream = open_stream()
        for number in range(5):
            await stream.write(EncodeStreamRequest(id=number, request=encode(images(200))))
        if wrong == "cancel":
            stream.cancel()
        else:
            await stream.done_writing()
            assert [reply.id async for reply in stream] == list(range(5))
        await admitted(server.app, 0)


async def test_weights_on_versions_deal_out_the_requests_of_a_stream_each_by_itself(
    tmp_path: Path,
) -> None:
    for version in ("1", "2"):
        write_tiny_bundle(tmp_path, Tiny(version=version))
    one = encode(images(1))
    async with running(tmp_path) as server:
        registry = server.app.engine.registry
        registry.swap(list(registry), registry.default, {"faces": {"1": 1, "2": 1}})
        replies = [
            reply
            for _ in range(3)
            for count in (1, 7)
            for reply in await stream_together(server, "Encode", [one] * count)
        ]
        named = encode(images(1), model="faces", version="2")
        ran = _note_runs(registry.resolve("faces", "2").lanes["encode"])
        await stream_together(server, "Encode", [named] * 8)
    assert Counter(reply.response.version for reply in replies) == {"1": 12, "2": 12}
    assert ran == [8]


@pytest.mark.parametrize("limit", ["max_items_per_request", "max_batch_rows"])
async def test_no_more_requests_run_together_than_a_request_or_a_batch_may_hold(
    tiny_models: Path, limit: str
) -> None:
    async with running(tiny_models, **{limit: 4}) as server:
        ran = _note_runs(server.app.engine.registry.resolve("", "").lanes["encode"])
        await stream_together(server, "Encode", [encode(images(1))] * 10)
    assert ran == [4, 4, 2]


def _note_runs(lane: Lane) -> list[int]:
    """How many requests each call of a lane stands for, from now on."""
    found, run = [], lane.run

    def noted(inputs: Any, place: Place, requests: int = 1) -> Awaitable[Any]:  # noqa: ANN401
        found.append(requests)
        return run(inputs, place, requests)

    lane.run = noted  # type: ignore[assignment, method-assign]
    return found


async def _queued(server: Running) -> float:
    samples = await asyncio.to_thread(server.samples)
    return sum(value for name, value in samples.items() if name.startswith(QUEUED))


def _alone(face: Any, request: EncodeRequest) -> Awaitable[EncodeResponse]:  # noqa: ANN401
    answer: Awaitable[EncodeResponse] = face.Encode(request)
    return answer


async def test_requests_that_come_together_are_run_together_and_answered_like_others(
    tiny_models: Path,
) -> None:
    faces = images(40)
    requests = [encode(faces[at : at + 1 + at % 3]) for at in range(30)]
    requests[7] = encode(faces[:2], sample_seed=3)
    requests[11] = encode(faces[:1], model="nobody")
    requests[12] = EncodeRequest()
    requests[13] = encode(images(1, size=20))
    requests[14] = encode(faces[:40])
    requests[20].images.raw.data += b"?"
    requests[21].with_probabilities = True
    async with running(tiny_models, stream_requests=64) as server:
        lane = server.app.engine.registry.resolve("", "").lanes["encode"]
        ran = _note_runs(lane)
        found = await stream_together(server, "Encode", requests)
        counted = await _queued(server)
        together = list(ran)
        alone = await asyncio.gather(
            *(_alone(server.face, request) for request in requests), return_exceptions=True
        )
    assert lane.rows == 0
    for reply, one in zip(found, alone, strict=True):
        if isinstance(one, EncodeResponse):
            assert reply.response == one
        else:
            assert isinstance(one, AioRpcError)
            assert (reply.error.code, reply.error.message) == (one.code().value[0], one.details())
    assert {place for place, one in enumerate(alone) if isinstance(one, Exception)} == {11, 12, 20}
    # Requests are counted as they are alone, and yet fewer calls were made.
    assert sum(together) == len(ran) - len(together) == counted - 1
    assert len(together) < 20
