"""Requests that wait together run together, and nobody can tell from the results."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from evenface.v1.face_service_pb2 import SampleRequest
from support.bundles import LATENT, Tiny, expected_mean, images, write_tiny_bundle
from support.messages import array, classify, encode
from support.servers import Running, admitted, running

LANE = 'function="encode",model="faces",version="1"'


async def test_requests_that_wait_together_run_together(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, Tiny(encode_seconds=0.1))
    pictures = [images(1, seed=number) for number in range(40)]
    async with running(tmp_path, max_batch_rows=16) as server:
        alone = asyncio.ensure_future(server.face.Encode(encode(images(1))))
        await admitted(server.app, 1)
        replies = await asyncio.gather(
            *(server.face.Encode(encode(picture)) for picture in pictures)
        )
        await alone
        samples = server.samples()
    batches = samples[f"evenface_batch_rows_count{{{LANE}}}"]
    assert samples[f"evenface_batch_rows_sum{{{LANE}}}"] == 41
    assert 4 <= batches < 20
    assert (
        samples['evenface_batch_rows_bucket{function="encode",le="16.0",model="faces",version="1"}']
        == batches
    )
    assert samples[f"evenface_queue_wait_seconds_count{{{LANE}}}"] == 41
    assert samples[f"evenface_inference_seconds_count{{{LANE}}}"] == batches
    found = np.concatenate([array(reply.mean) for reply in replies])
    np.testing.assert_allclose(found, expected_mean(np.concatenate(pictures)), atol=1e-5)


async def test_a_request_longer_than_a_batch_is_split_and_put_together_again(
    tiny_models: Path,
) -> None:
    pictures = images(1000)
    async with running(tiny_models, max_batch_rows=64) as server:
        reply = await server.face.Encode(encode(pictures))
    np.testing.assert_allclose(array(reply.mean), expected_mean(pictures), atol=1e-5)


async def test_the_functions_of_a_model_run_side_by_side(server: Running) -> None:
    pictures = images(3)
    calls: list[Any] = [
        call
        for _ in range(30)
        for call in (
            server.face.Encode(encode(pictures)),
            server.face.ClassifyFace(classify(pictures)),
            server.face.Sample(SampleRequest(count=3, seed=1)),
        )
    ]
    replies = await asyncio.gather(*calls)
    shapes = {array(reply.latents).shape for reply in replies[2::3]}
    assert shapes == {(3, LATENT)}
    assert len({reply.SerializeToString(deterministic=True) for reply in replies[2::3]}) == 1
