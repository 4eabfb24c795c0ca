"""The studio's HTTP side in this process, asked as its page asks it."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from evenface_studio.app import make_app
from evenface_studio.settings import Settings
from numpy.typing import NDArray
from PIL import Image

from support.bundles import Tiny, write_tiny_bundle
from support.grey import write_grey_bundle

MAX_UPLOAD = 100_000


def write_models(root: Path) -> Path:
    """Models of several kinds.

    Colour, classifier alone, without a classifier, conditional, grey with a colorizer.
    """
    write_tiny_bundle(root)
    write_tiny_bundle(root, Tiny(name="judge", functions=("classify",), attribute_vectors=()))
    write_tiny_bundle(root, Tiny(name="bearded", conditions=("beard",)))
    write_tiny_bundle(root, Tiny(name="unjudging", functions=("encode", "decode")))
    write_grey_bundle(root)
    return root


@dataclass(frozen=True)
class Page:
    """Asks the studio."""

    client: TestClient[web.Request, web.Application]

    async def get(self, path: str, **query: object) -> aiohttp.ClientResponse:
        """GET with a query."""
        return await self.client.get(path, params={k: str(v) for k, v in query.items()})

    async def post(
        self, path: str, body: object = None, *, file: bytes | None = None, model: str = "faces"
    ) -> aiohttp.ClientResponse:
        """POST of a JSON body or of a file."""
        return await self.client.post(path, json=body, data=file, params={"model": model})

    async def face(self, file: bytes, model: str = "faces") -> dict[str, Any]:
        """What Explore knows of a picture."""
        reply = await self.post("/api/explore/face", file=file, model=model)
        assert reply.status == HTTPStatus.OK, await reply.text()
        found: dict[str, Any] = await reply.json()
        return found


@asynccontextmanager
async def studio_over(address: str, **settings: Any) -> AsyncIterator[Page]:  # noqa: ANN401
    """The studio over a server's address, with a limit on uploads that tests can pass."""
    chosen = Settings(**{"server": address, "port": 0, "max_upload": MAX_UPLOAD, **settings})
    async with TestClient(TestServer(make_app(chosen))) as client:
        yield Page(client)


async def error_of(reply: aiohttp.ClientResponse) -> dict[str, str]:
    """The error that a reply tells."""
    told: dict[str, dict[str, str]] = await reply.json()
    return told["error"]


async def pixels_of(reply: aiohttp.ClientResponse) -> NDArray[np.uint8]:
    """The picture that a reply brings, uint8 [H, W, 3]."""
    assert reply.status == HTTPStatus.OK, await reply.text()
    read: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(await reply.read())).convert("RGB"))
    return read
