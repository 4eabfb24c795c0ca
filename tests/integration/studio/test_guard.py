"""Who may ask the studio, and what it says when something is wrong."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from evenface_studio.app import STATIC, make_runner
from evenface_studio.asked import MAX_JSON_BYTES, MAX_LATENT
from evenface_studio.settings import MAX_UPLOAD_BYTES, Settings
from support.bundles import images
from support.image_files import bomb, png
from support.patience import PATIENCE
from support.servers import running
from support.studio_http import MAX_UPLOAD, Page, error_of, studio_over

FACE = png(images(1)[0])


async def test_a_host_that_is_not_the_studio_s_is_refused(page: Page) -> None:
    for path in ("/", "/static/app.js", "/api/models"):
        reply = await page.client.get(path, headers={"Host": "evil.example:7860"})
        assert reply.status == 421
        assert "evil.example" in (await error_of(reply))["detail"]
    assert (await page.client.get("/api/models", headers={"Host": "localhost:1"})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_page_may_not_ask(page: Page, headers: dict[str, str]) -> None:
    posted = await page.client.post("/api/explore/face", data=FACE, headers=headers)
    assert posted.status == 403
    assert (await error_of(posted))["kind"] == "denied"
    assert (await page.client.get("/api/models", headers=headers)).status == 403


async def test_the_studio_s_own_page_may(page: Page) -> None:
    own = str(page.client.make_url("/")).rstrip("/")
    headers = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
    assert (await page.client.post("/api/explore/face", data=FACE, headers=headers)).status == 200


async def test_every_reply_keeps_the_browser_to_the_studio(page: Page) -> None:
    for path in ("/", "/static/app.js", "/api/models", "/api/nothing"):
        headers = (await page.client.get(path)).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_names_nothing_that_is_elsewhere() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg"}]
    assert len(files) > 20
    for file in files:
        named = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", file.read_text()))
        assert named <= {"http://www.w3.org/2000/svg"}, file


async def test_files_outside_of_the_page_s_folder_are_not_there(page: Page) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert (await page.client.get(path)).status in {403, 404}


async def test_a_file_beyond_the_limit_is_too_large(page: Page) -> None:
    reply = await page.post("/api/explore/face", file=bytes(MAX_UPLOAD + 1))
    assert reply.status == 413
    told = await error_of(reply)
    assert told["kind"] == "too-large"
    assert str(MAX_UPLOAD) in told["detail"]


@pytest.mark.parametrize(
    ("file", "detail"),
    [(b"hello", "not a JPEG, PNG or WebP"), (b"", "no bytes"), (bomb(60_000), "pixels")],
)
async def test_a_file_that_is_no_picture_is_refused_with_its_reason(
    page: Page, file: bytes, detail: str
) -> None:
    reply = await page.post("/api/explore/face", file=file)
    assert reply.status == 400
    told = await error_of(reply)
    assert detail in told["detail"]
    assert "JPEG, PNG or WebP" in told["hint"]


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/api/explore/decode", {"latents": []}, "latents"),
        ("/api/explore/decode", {"latents": [[1, 2], [3]]}, "rows differ"),
        ("/api/explore/decode", {"latents": [[1, 2]]}, "4"),
        ("/api/explore/decode", {"latents": [[0] * 4], "atributes": {}}, "did you mean"),
        ("/api/explore/decode", {"latents": [[0] * 4], "attributes": {"hat": 1}}, "hat"),
        ("/api/explore/decode", [1], "object"),
        ("/api/morph/walk", {"start": [0] * 4, "end": [1] * 4, "steps": 1}, "steps"),
        ("/api/morph/walk", {"start": [0] * 4, "end": [1] * 3}, "rows differ"),
        ("/api/morph/traversal", {"latent": [0] * 4, "dimensions": [4]}, "outside 0 to 3"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_its_reason(
    page: Page, path: str, body: object, detail: str
) -> None:
    reply = await page.post(path, body)
    assert reply.status == 400
    assert detail in (await error_of(reply))["detail"]


@pytest.mark.parametrize(
    "query", [{"count": 0}, {"count": 257}, {"seed": -1}, {"prior": "x"}, {"attributes": "{"}]
)
async def test_a_sheet_that_makes_no_sense_is_refused(page: Page, query: dict[str, object]) -> None:
    reply = await page.get("/api/sample/sheet", model="faces", **query)
    assert reply.status == 400
    assert (await error_of(reply))["hint"]


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"\xff": 1}'], ids=["nested", "no text"])
async def test_json_that_cannot_be_read_is_refused(page: Page, body: bytes) -> None:
    reply = await page.client.post("/api/explore/decode", data=body)
    assert reply.status == 400
    assert "JSON" in (await error_of(reply))["detail"]


@pytest.mark.parametrize("path", ["/api/morph/walk", "/api/dataset/open"])
async def test_json_that_is_longer_than_any_that_the_page_needs_is_refused(
    studio_models: Path, path: str
) -> None:
    async with (
        running(studio_models, default_model="faces") as server,
        studio_over(server.address, max_upload=MAX_UPLOAD_BYTES) as page,
    ):
        number = -0.123456789012345678
        longest = {"start": [number] * MAX_LATENT, "end": [number] * (MAX_LATENT - 1)}
        body = io.BytesIO(json.dumps(longest).encode())
        understood = await page.client.post("/api/morph/walk", data=body)
        assert "rows differ" in (await error_of(understood))["detail"]
        longer = io.BytesIO(b"[" + b"0," * (MAX_JSON_BYTES // 2) + b"0]")
        reply = await page.client.post(path, data=longer)
        assert reply.status == 413
        told = await error_of(reply)
        assert (told["kind"], "bytes" in told["detail"]) == ("too-large", True)


@asynccontextmanager
async def unfinished(page: Page, times: int = 1) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Uploads that have begun and do not go on."""
    async with AsyncExitStack() as opened:
        readers = []
        for _ in range(times):
            reader, writer = await asyncio.open_connection(page.client.host, page.client.port)
            opened.callback(writer.close)
            head = "POST /api/explore/face HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            writer.write(head.encode() + b"some")
            readers.append(reader)
        yield readers


async def test_an_upload_that_does_not_go_on_is_given_up(studio_models: Path) -> None:
    async with (
        running(studio_models, default_model="faces") as server,
        studio_over(server.address, upload_seconds=0.1) as page,
        unfinished(page) as [reader],
        asyncio.timeout(PATIENCE),
    ):
        assert b" 408 " in await reader.readline()
        assert b"not there after 0.1 s" in await reader.readuntil(b"}}")


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[int]:
    """The studio as the command serves it; its port."""
    runner = make_runner(settings)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: local"])
async def test_a_connection_that_asks_for_nothing_is_closed(said: bytes) -> None:
    async with listening(Settings(idle_seconds=0.1)) as port, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()


async def test_a_request_that_takes_longer_than_a_connection_may_idle_is_answered(
    studio_models: Path,
) -> None:
    async with (
        running(studio_models, default_model="faces") as server,
        listening(Settings(server=server.address, idle_seconds=0.3)) as port,
        asyncio.timeout(30),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /api/explore/face HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        writer.write(head.encode() + b"some")
        idle, other = await asyncio.open_connection("127.0.0.1", port)
        assert await idle.read() == b""  # and so the time of the one before is over, too
        writer.write(b" text")
        assert b" 400 " in await reader.readline()
        assert b"not a JPEG" in await reader.readuntil(b"}}")
        writer.close()
        other.close()


async def test_more_requests_than_are_answered_at_once_are_told_to_come_again(
    studio_models: Path,
) -> None:
    async with (
        running(studio_models, default_model="faces") as server,
        studio_over(server.address, max_at_once=3) as page,
        asyncio.timeout(PATIENCE),
    ):
        async with unfinished(page, 3):
            reply = await page.get("/api/models")
            while reply.status == 200:  # until the three have been seen
                reply = await page.get("/api/models")
            assert reply.status == 503
            assert (await error_of(reply))["kind"] == "overloaded"
        while reply.status == 503:
            reply = await page.get("/api/models")
        assert reply.status == 200


async def test_a_service_that_is_down_is_told_and_found_again(studio_models: Path) -> None:
    async with running(studio_models, default_model="faces") as server:
        address = server.address
    host, port = address.rsplit(":", 1)
    async with studio_over(address) as page:
        reply = await page.get("/api/models")
        assert reply.status == 503
        told = await error_of(reply)
        assert told["kind"] == "unavailable"
        assert "make serve" in told["hint"]
        async with running(studio_models, default_model="faces", host=host, port=int(port)):
            found = await page.get("/api/models")
            while found.status == 503:
                found = await page.get("/api/models")
            assert {one["name"] for one in (await found.json())["models"]} >= {"faces", "grey"}


async def test_a_model_that_is_not_there_is_told(page: Page) -> None:
    reply = await page.get("/api/model", model="nobody")
    assert reply.status == 404
    assert (await error_of(reply))["kind"] == "not-found"


async def test_what_nobody_foresaw_is_told_without_its_secrets(
    page: Page, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("evenface_studio.explore.sheet", fail)
    reply = await page.post("/api/explore/decode", {"latents": np.zeros((1, 4)).tolist()})
    assert reply.status == 500
    assert "secret" not in await reply.text()
    assert "a secret" in caplog.text
