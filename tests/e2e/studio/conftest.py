"""Servers and studios over them for all tests of this folder, and a browser for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.servers import server_process
from support.studio import StudioProcess, chromium, studio_process
from support.studio_http import write_models

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def studio() -> Iterator[StudioProcess]:
    """A studio over the default model."""
    with server_process(ROOT / "models") as server, studio_process(server.address) as started:
        yield started


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio over tiny models of several kinds."""
    models = write_models(tmp_path_factory.mktemp("kinds"))
    with (
        server_process(models, "--default-model", "faces") as server,
        studio_process(server.address) as started,
    ):
        yield started
