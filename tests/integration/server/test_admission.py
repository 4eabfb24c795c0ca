"""Who is let in under load, who is refused at once, and what never leaves the event loop."""

import asyncio
import json
import time
from collections.abc import Awaitable, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import numpy as np
import pytest
from evenface.v1.face_service_pb2 import EncodeRequest, SampleRequest
from evenface_server import rpc
from evenface_server.lines import Lines
from evenface_server.workshop import Workshop
from evenface_transport import Code, frames
from support.bundles import Tiny, images, write_tiny_bundle
from support.http2 import Peer, Reply, connected, prefixed
from support.image_files import png
from support.lanes import held
from support.messages import Details, classify, details, encode, files
from support.servers import Running, admitted, running, until

ENCODE = 'grpc_method="Encode",grpc_service="evenface.v1.FaceService",grpc_type="unary"'
ONE = encode(images(1)).SerializeToString()
SLOW = Tiny(encode_seconds=0.3)


async def refused(call: Awaitable[object]) -> Details:
    """What a call that is refused for lack of room or time says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, caught.value.details()
    found = details(caught.value)
    assert found.info.reason == "QUEUE_FULL"
    return found


async def test_a_request_that_cannot_be_answered_in_time_is_refused_at_once(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, SLOW)
    async with running(tmp_path, max_batch_rows=1, metrics=True, metrics_port=0) as server:
        started = time.monotonic()
        await server.face.Encode(encode(images(1)))
        seconds = time.monotonic() - started
        work = asyncio.ensure_future(server.face.Encode(encode(images(4))))
        await admitted(server.app, 4)
        call = server.face.Encode(encode(images(1)), timeout=1.5 * seconds)
        found = await refused(call)
        assert not work.done()
        assert "the answer would take about" in found.message
        assert "the deadline is in" in found.message
        (retry,) = found.retries
        metadata: Any = dict(await call.trailing_metadata())
        wait = retry.retry_delay.ToMilliseconds()
        assert int(metadata["grpc-retry-pushback-ms"]) == wait > 0
        assert metadata["x-request-id"]
        await work
        samples = server.samples()
    assert samples[f'grpc_server_handled_total{{grpc_code="RESOURCE_EXHAUSTED",{ENCODE}}}'] == 1
    assert samples['evenface_rejections_total{reason="QUEUE_FULL"}'] == 1
    # It was refused before its request came in.
    assert samples[f"grpc_server_started_total{{{ENCODE}}}"] == 3
    assert samples[f"grpc_server_msg_received_total{{{ENCODE}}}"] == 2


async def test_a_full_queue_of_one_model_keeps_nobody_from_another(tmp_path: Path) -> None:
    for name in ("a", "z"):
        write_tiny_bundle(tmp_path, Tiny(name=name))
    limits = {"max_queue_rows": 4, "max_items_per_request": 4}
    async with running(tmp_path, metrics=True, metrics_port=0, **limits) as server:
        lane = server.app.engine.registry.resolve("z", "").lanes["encode"]
        with held(lane):
            work = asyncio.ensure_future(server.face.Encode(encode(images(4), model="z")))
            await until(lambda: lane.rows == 4)
            await refused(server.face.Encode(encode(images(1), model="z")))
            assert (await server.face.Encode(encode(images(1), model="a"))).model == "a"
        await work
        samples = server.samples()
    # What was refused was so at the name of its model, before it had come in.
    assert samples[f"grpc_server_msg_received_total{{{ENCODE}}}"] == 2


async def test_calls_that_are_refused_together_are_all_counted_and_one_line_of_the_log(
    tiny_models: Path, tmp_path: Path
) -> None:
    path = "/evenface.v1.FaceService/Encode"
    with (tmp_path / "log").open("w") as file:
        lines = Lines(file.fileno(), str)
        limits = {"max_queue_rows": 4, "max_items_per_request": 4, "metrics": True}
        async with (
            running(tiny_models, log=lines, metrics_port=0, **limits) as server,
            connected(server.port) as peer,
        ):
            with server.app.engine.registry.resolve("", "").lanes["encode"].admit(4):
                calls = [
                    frames.frame(frames.HEADERS, frames.END_HEADERS, number, peer.block(path))
                    + frames.frame(frames.DATA, frames.END_STREAM, number, prefixed(ONE))
                    for number in range(1, 13, 2)
                ]
                for call in (calls[:1], calls[1:2], calls[2:]):
                    peer.send(*call)
                    await peer.settled()
                    await until(lambda: is_judged_anew(server))
                replies = [await peer.reply(number) for number in range(1, 13, 2)]
            samples = server.samples()
        lines.flush()
    ids = [reply.fields["x-request-id"] for reply in replies]
    assert ids[0] != ids[1] != ids[2]
    assert ids[2:] == ids[2:3] * 4
    assert all(reply.status[0] == Code.RESOURCE_EXHAUSTED for reply in replies)
    logged = list(map(json.loads, (tmp_path / "log").read_text().splitlines()))
    assert [(line["request_id"], line.get("calls", 1)) for line in logged] == [
        (ids[0], 1), (ids[1], 1), (ids[2], 4)
    ]  # fmt: skip
    assert samples[f'grpc_server_handled_total{{grpc_code="RESOURCE_EXHAUSTED",{ENCODE}}}'] == 6
    assert samples[f"grpc_server_started_total{{{ENCODE}}}"] == 6
    assert samples[f"grpc_server_handling_seconds_count{{{ENCODE}}}"] == 6
    assert samples['evenface_rejections_total{reason="QUEUE_FULL"}'] == 6


def is_judged_anew(server: Running) -> bool:
    """Whether calls like the last that was refused are not refused like it any more."""
    refused = server.app._server.refused  # noqa: SLF001 - the end of a moment
    return refused is not None and refused.alike.is_over


async def test_a_refusal_stands_only_for_calls_of_its_rpc_model_and_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "_ALIKE_SECONDS", 3600.0)  # all of this is in one moment
    for name in ("faces", "others"):
        write_tiny_bundle(tmp_path, Tiny(name=name))
    limits = {"max_queue_rows": 4, "max_items_per_request": 4, "default_model": "faces"}
    faces, others = (
        encode(images(1), model=name).SerializeToString() for name in ("faces", "others")
    )
    look = classify(images(1), model="faces").SerializeToString()
    plain, timed = (), (("grpc-timeout", "60S"),)
    known = [("Encode", plain, faces), ("ClassifyFace", plain, look), ("Encode", timed, faces)] * 2
    calls = [
        *[("Encode", plain, faces)] * 2,
        ("Encode", plain, others),
        ("ClassifyFace", plain, look),
        ("Encode", timed, faces),
        ("Encode", plain, faces),
        ("Encode", plain, ONE),
    ]
    async with (
        running(tmp_path, **limits) as server,
        connected(server.port) as peer,
    ):
        streams = count(1, 2)
        for call in known:  # both sides learn the header blocks
            assert (await asked(peer, next(streams), *call)).status[0] == Code.OK
        with server.app.engine.registry.resolve("", "").lanes["encode"].admit(4):
            replies = [await asked(peer, next(streams), *call) for call in calls]
    full, good = Code.RESOURCE_EXHAUSTED, Code.OK
    assert [reply.status[0] for reply in replies] == [full, full, good, good, full, full, full]
    ids = [reply.fields["x-request-id"] for reply in replies]
    assert [ids.index(one) for one in ids] == [0, 0, 2, 3, 4, 5, 6]


async def asked(
    peer: Peer, stream: int, name: str, more: Sequence[tuple[str, str]], request: bytes
) -> Reply:
    """Call an RPC on its own, and wait for the reply."""
    block = peer.block(f"/evenface.v1.FaceService/{name}", *more)
    peer.send(
        frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block),
        frames.frame(frames.DATA, frames.END_STREAM, stream, prefixed(request)),
    )
    return await peer.reply(stream)


async def test_photos_that_threads_have_no_time_for_are_refused_and_small_ones_are_not(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = png(np.zeros((300, 300, 3), np.uint8))
    async with running(tiny_models) as server:
        monkeypatch.setattr(Workshop, "seconds_for", lambda *_: 5.0)
        call = server.face.Encode(EncodeRequest(images=files(photo)), timeout=3)
        found = await refused(call)
        assert "take about 500" in found.message
        await server.face.Encode(EncodeRequest(images=files(photo)))
        small = files(png(images(1)[0]))
        await server.face.Encode(EncodeRequest(images=small), timeout=3)


async def test_arithmetic_on_a_few_latents_goes_to_no_thread(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tiny_models) as server:
        run = Mock(wraps=server.app.engine._workshop.run)  # noqa: SLF001 - to see who calls
        monkeypatch.setattr(server.app.engine._workshop, "run", run)  # noqa: SLF001
        await server.face.Sample(SampleRequest(count=16))
        await server.face.Encode(encode(images(16), sample_seed=1))
        assert run.call_count == 0
        await server.face.Sample(SampleRequest(count=17))
        await server.face.Encode(encode(images(17), sample_seed=1))
        assert run.call_count == 3
