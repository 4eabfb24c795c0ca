"""A server with models of several kinds, a studio over it, and a browser for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.servers import server_process
from support.studio import StudioProcess, chromium, studio_process

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def studio() -> Iterator[StudioProcess]:
    """A studio over the default model."""
    with server_process(ROOT / "models") as server, studio_process(server.address) as started:
        yield started
