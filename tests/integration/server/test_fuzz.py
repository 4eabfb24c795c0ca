"""Nonsense by the hundred; tests/fuzz/service.py sends it by the hundred thousand."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from support.asking import ask, ask_together, check_idle
from support.servers import running, until
from support.spoiling import Requests


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that is wrong with files
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_sent_is_answered_as_the_api_promises_and_nothing_is_left_of_it(
    tiny_models: Path, seed: int
) -> None:
    requests = Requests(random.Random(seed))  # noqa: S311 - made up
    async with running(tiny_models) as server:
        asked = [ask(server.channel, *requests.next()) for _ in range(200)]
        codes = Counter(await asyncio.gather(*asked))
        await until(lambda: server.app.held_bytes == 0)
        check_idle(server)
    assert codes["OK"] > 10
    assert codes["INVALID_ARGUMENT"] > 50


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_together_on_a_stream_is_answered_as_it_is_alone(
    tiny_models: Path, seed: int
) -> None:
    requests = Requests(random.Random(seed))  # noqa: S311 - made up
    ends: Counter[str] = Counter()
    async with running(tiny_models) as server:
        for _ in range(25):
            ends += await ask_together(server, *requests.together())
        await until(lambda: server.app.held_bytes == 0)
        check_idle(server)
    assert ends["OK"] > 50
    assert ends["error"] > 20
