"""A server with room, one with small limits, and both clients behind one face."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evenface_client import Client
from numpy.typing import NDArray
from PIL import Image
from support.bundles import Tiny, images, write_tiny_bundle
from support.clients import Caller, callers
from support.servers import server_process

SMALL_ITEMS = 12
SMALL_BYTES = 8192


@pytest.fixture(scope="session")
def client_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_tiny_bundle(root, Tiny())
    write_tiny_bundle(root, Tiny(version="2", shift=0.5))
    write_tiny_bundle(root, Tiny(name="bearded", conditions=("beard",)))
    write_tiny_bundle(root, Tiny(name="judge", functions=("classify",), attribute_vectors=()))
    return root


@pytest.fixture(scope="session")
def address(client_models: Path) -> Iterator[str]:
    with server_process(client_models) as server:
        yield server.address


@pytest.fixture(scope="session")
def small_address(client_models: Path) -> Iterator[str]:
    """A server that takes little at once."""
    items, size = str(SMALL_ITEMS), str(SMALL_BYTES)
    with server_process(
        client_models, "--max-items-per-request", items, "--max-message-bytes", size
    ) as server:
        yield server.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, address: str) -> Iterator[Caller]:
    yield from callers(address, request.param)


@pytest.fixture(params=["sync", "async"])
def small(request: pytest.FixtureRequest, small_address: str) -> Iterator[Caller]:
    yield from callers(small_address, request.param)


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """23 images of the models' size."""
    return images(23)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[np.uint8]) -> Path:
    """The first seven of them as files."""
    path = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(pixels[:7]):
        Image.fromarray(image).save(path / f"{number}.png")
    return path
