"""Servers and studios over them for all tests of this folder, and a browser for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from evenface_core.pictures import save_png
from playwright.sync_api import Browser
from support.bundles import images
from support.servers import server_process
from support.studio import StudioProcess, chromium, studio_process
from support.studio_data import Place, place_over, write_data, write_grouped_models
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
    data = tmp_path_factory.mktemp("few")
    for number, image in enumerate(images(3)):
        save_png(data / "photos" / f"{number}.png", image)
    with place_over(models, data) as started:
        yield started.studio


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A studio over models with groups, with data sets and metrics."""
    models = write_grouped_models(tmp_path_factory.mktemp("models"))
    data = write_data(tmp_path_factory.mktemp("data"), models)
    with place_over(models, data) as started:
        yield started
