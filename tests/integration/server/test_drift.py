"""Latent drift of what real servers serve."""

from functools import partial
from pathlib import Path

import numpy as np
from evenface.v1.face_service_pb2 import EncodeStreamRequest, ResampleWeightsRequest
from evenface_client import Client
from numpy.typing import NDArray
from support.bundles import images
from support.messages import encode, raw
from support.servers import Running, running, scrape, server_process, until

ROWS = 'evenface_latent_drift_rows{model="faces",version="1"}'
MEAN = 'evenface_latent_drift{model="faces",statistic="mean",version="1"}'
MAX = 'evenface_latent_drift{model="faces",statistic="max",version="1"}'


def darkened(count: int) -> NDArray[np.uint8]:
    return images(count, seed=8) // np.uint8(2)


async def served(server: Running, pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Encode images, 250 a second, and return what is shown then."""
    found: dict[str, float] = {}
    for start in range(0, len(pixels), 250):
        await server.face.Encode(encode(pixels[start : start + 250]))
        found = server.samples()
    return found


async def test_images_like_those_of_training_show_no_drift_and_others_do(
    tiny_models: Path,
) -> None:
    async with running(tiny_models) as server:
        same = await served(server, images(1000, seed=3))
    async with running(tiny_models) as server:
        other = await served(server, darkened(1000))
    assert same[ROWS] == other[ROWS] == 1000
    assert same[MEAN] < 0.05
    assert other[MEAN] > 0.5
    assert other[MAX] > other[MEAN]


async def test_streams_count_and_weights_do_not(tiny_models: Path) -> None:
    async with running(tiny_models) as server:
        await server.face.ResampleWeights(ResampleWeightsRequest(images=raw(images(50))))
        request = EncodeStreamRequest(id=1, request=encode(images(7)))
        call = server.face.EncodeStream(iter([request]))
        assert len([reply async for reply in call]) == 1
        assert server.samples()[ROWS] == 7


async def test_workers_are_judged_by_what_they_serve_together(tiny_models: Path) -> None:
    options = ("--workers", "2", "--metrics", "--metrics-port", "0")
    with server_process(tiny_models, *options) as server:
        metrics = str(server.wait_for("serving")["metrics_address"])
        for number in range(6):  # each on a connection of its own, so that both workers serve
            with Client(server.address) as client:
                client.encode(images(100, seed=number))
            await until(partial(_shows_rows, metrics, 100 * (number + 1)))
        assert scrape(metrics)[MEAN] < 0.1
        assert {line["worker"] for line in server.lines if line.get("rows") == 100} == {0, 1}


def _shows_rows(address: str, rows: int) -> bool:
    return scrape(address).get(ROWS) == rows
