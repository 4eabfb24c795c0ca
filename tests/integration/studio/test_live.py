"""The tab Live over the metrics of a real server, which come, go and come anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from evenface_client import TLS, AsyncClient, EvenfaceClientError
from evenface_core.errors import ConfigError
from evenface_studio import live
from evenface_studio.app import make_app
from evenface_studio.settings import Settings
from prometheus_client import CollectorRegistry, generate_latest
from support.bundles import images
from support.patience import PATIENCE
from support.servers import Running, running


class Page:
    """Shows the metrics of a server, or whatever else it is told to."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.instead: web.Response | None = None
        self.asked = 0

    async def show(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.instead is not None:
            return web.Response(status=self.instead.status, text=self.instead.text)
        self.server.samples()  # brings the totals up to date
        registry = CollectorRegistry()
        registry.register(self.server.totals)
        return web.Response(body=generate_latest(registry))


@asynccontextmanager
async def looked_at(server: Running) -> AsyncIterator[tuple[Page, TestClient[Any, Any]]]:
    page = Page(server)
    app = web.Application()
    app.router.add_get("/metrics", page.show)
    async with TestServer(app) as metrics:
        settings = Settings(server=server.address, metrics=str(metrics.make_url("/metrics")))
        async with TestClient(TestServer(make_app(settings))) as client:
            yield page, client


async def told(client: TestClient[Any, Any], since: int = 0) -> Any:  # noqa: ANN401
    async with client.get("/api/live", params={"since": since}) as reply:
        assert reply.status == 200
        return await reply.json()


async def until(client: TestClient[Any, Any], condition: Callable[[Any], bool]) -> Any:  # noqa: ANN401
    """Look until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition(found := await told(client)):  # noqa: ASYNC110 - of another program
            await asyncio.sleep(0.02)
        return found


def codes(found: Any) -> Any:  # noqa: ANN401
    rows = {row["method"]: row for row in found["methods"]}
    return rows.get("FaceService/Encode", {}).get("codes")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_SECONDS", 0.05)


async def test_what_a_server_does_is_shown(tiny_models: Path) -> None:
    async with running(tiny_models) as server, looked_at(server) as (_, client):
        await told(client)
        async with AsyncClient(server.address) as caller:
            await caller.encode(images(6))
            with pytest.raises(EvenfaceClientError):
                await caller.encode(b"no image")
        found = await until(client, codes)
        assert codes(found) == {"INVALID_ARGUMENT": 1}
        assert found["points"][-1]["p50"] > 0
        assert found["rejections"] == {"INVALID_INPUT": 1}
        assert found["points"][-1]["batch"] == 6
        assert found["points"][-1]["queue"] == 0
        assert found["drift"] == [{"model": "faces", "version": "1", "rows": 6}]


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (503, "", "status 503"),
        (302, "", "status 302"),
        (200, "<html>", "no text of Prometheus"),
        (200, "up 1\n", "no metrics of evenface-server"),
        (200, "x" * (9 * 2**20), "more than"),
    ],
)
async def test_metrics_that_are_none_are_told_and_come_back(
    tiny_models: Path, status: int, text: str, why: str
) -> None:
    async with running(tiny_models) as server, looked_at(server) as (page, client):
        page.instead = web.Response(status=status, text=text)
        found = await told(client)
        assert why in found["problem"]
        page.instead = None
        found = await until(client, lambda found: found["problem"] is None)
        assert "queue" in found["points"][-1]
        page.instead = web.Response(status=500)
        found = await until(client, lambda found: found["problem"] is not None)
        assert "status 500" in found["problem"]
        assert "queue" not in found["points"][-1]


async def test_a_server_that_is_not_there_is_told(tiny_models: Path) -> None:
    async with running(tiny_models) as server:
        settings = Settings(server=server.address, metrics="http://127.0.0.1:9/metrics")
        async with TestClient(TestServer(make_app(settings))) as client:
            assert "127.0.0.1:9" in (await told(client))["problem"]


async def test_what_lets_the_studio_in_is_shown_nowhere() -> None:
    url = "http://me:hidden@127.0.0.1:9/metrics?token=hidden"
    settings = Settings(metrics=url, token="hidden", tls=TLS(key="hidden"))  # noqa: S106
    assert "hidden" not in repr(settings)
    async with TestClient(TestServer(make_app(Settings(metrics=url)))) as client:
        found = await told(client)
        assert found["url"] == "http://127.0.0.1:9/metrics"
        assert "hidden" not in str(found)


@pytest.mark.parametrize("url", ["", "9464", "ftp://a/b", "http://", "http://me:hidden@["])
def test_a_url_that_metrics_cannot_have_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="metrics: needs a URL") as told:
        make_app(Settings(metrics=url))
    assert "hidden" not in str(told.value)


async def test_nobody_who_looks_means_nobody_who_asks(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_UNSEEN_SECONDS", 0.2)
    async with running(tiny_models) as server, looked_at(server) as (page, client):
        found = await told(client)
        watching = [task for task in asyncio.all_tasks() if "_watch" in repr(task)]
        if watching:
            await asyncio.wait(watching)  # ends by itself
        before = page.asked
        again = await told(client, found["last"])
        assert page.asked == before + 1
        assert {point["number"] for point in again["points"]} == set(
            range(found["last"] + 1, again["last"] + 1)
        )


async def test_those_who_look_together_are_told_the_same_by_one_look(tiny_models: Path) -> None:
    async with running(tiny_models) as server, looked_at(server) as (_, client):
        await asyncio.gather(*(told(client) for _ in range(5)))
        watching = [task for task in asyncio.all_tasks() if "_watch" in repr(task)]
        assert len(watching) == 1
        async with client.get("/api/live", params={"since": "x"}) as reply:
            assert reply.status == 400
