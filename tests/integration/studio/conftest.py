"""A server with models of several kinds and the studio over it, both in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.servers import running
from support.studio_http import Page, studio_over, write_models


@pytest.fixture(scope="session")
def studio_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest_asyncio.fixture
async def page(studio_models: Path) -> AsyncIterator[Page]:
    async with (
        running(studio_models, default_model="faces") as server,
        studio_over(server.address) as opened,
    ):
        yield opened
