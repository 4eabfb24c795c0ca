"""A server for the tests of this folder that need no settings of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from support.servers import Running, running


@pytest_asyncio.fixture
async def server(tiny_models: Path) -> AsyncIterator[Running]:
    """The tiny bundle, served in this process."""
    async with running(tiny_models) as found:
        yield found
