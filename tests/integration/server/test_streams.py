"""What a stream holds is bounded."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from evenface.v1.face_service_pb2 import EncodeStreamRequest
from support.bundles import images
from support.messages import encode
from support.patience import PATIENCE
from support.servers import admitted, running

RECEIVED = (
    'grpc_server_msg_received_total{grpc_method="EncodeStream",'
    'grpc_service="evenface.v1.FaceService",grpc_type="bidi_stream"}'
)


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
        most = 0
        stream = server.face.EncodeStream(
            EncodeStreamRequest(id=number, request=encode(images(1))) for number in range(200)
        )
        async for _ in stream:
            most = max(most, lane.rows)
    assert most <= 8


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
