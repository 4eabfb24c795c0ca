"""The tab Dataset's requests, over a real studio in front of a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from evenface_client import AsyncClient
from evenface_client.weights import read_weights
from evenface_studio.app import make_app
from evenface_studio.dataset import encoding, shown
from evenface_studio.settings import Settings
from support.bundles import Tiny, write_tiny_bundle
from support.datasets import write_jpegs
from support.patience import PATIENCE
from support.scored_files import Lines, write_file, write_parts
from support.servers import running

NAMES = [f"{number:02}.jpg" for number in range(12)]


class Studio:
    """Asks a studio as the page does."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:  # noqa: ANN401
        async with self.client.get(f"/api/dataset/{path}", params=query) as reply:
            assert reply.status == status, await reply.text()
            return await reply.json() if reply.content_type == "application/json" else reply

    async def post(self, path: str, body: object, status: int = 200) -> Any:  # noqa: ANN401
        async with self.client.post(f"/api/dataset/{path}", json=body) as reply:
            assert reply.status == status, await reply.text()
            return await reply.json()

    async def read(self, path: str, **query: str) -> tuple[bytes, Mapping[str, str]]:
        async with self.client.get(f"/api/dataset/{path}", params=query) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.read(), reply.headers

    async def opened(self, path: object) -> str:
        found = await self.post("open", {"path": str(path)})
        assert found["kind"] == "set"
        return str(found["key"])

    async def finished(self, name: str) -> Mapping[str, Any]:
        """Ask until a run has ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                state: Mapping[str, Any] = await self.get(f"runs/{name}")
                if state["state"] != "running":
                    return state
                await asyncio.sleep(0.02)

    async def encoded(self, path: object, **more: object) -> Mapping[str, Any]:
        begun = await self.post("runs", {"path": str(path), **more})
        return await self.finished(begun["run"])


@asynccontextmanager
async def studio_over(server: str, *data: Path) -> AsyncIterator[Studio]:
    app = make_app(Settings(server=server, data=data))
    async with TestClient(TestServer(app)) as client:
        yield Studio(client)


@pytest.fixture
async def server(tiny_models: Path) -> AsyncIterator[str]:
    async with running(tiny_models) as started:
        yield started.address


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = write_jpegs(tmp_path / "photos", NAMES)
    (folder / "03.jpg").write_bytes(b"no image")
    (folder / "05.jpg").write_bytes(b"")
    lines = [f"{name},{'light' if number % 2 else 'dark'}" for number, name in enumerate(NAMES)]
    (folder / "labels.csv").write_text("\n".join(["file,tone", *lines]))
    return folder


async def test_a_folder_is_encoded_weighted_and_exported(
    server: str, photos: Path, tmp_path: Path
) -> None:
    async with studio_over(server, photos) as studio:
        found = await studio.post("open", {"path": str(photos)})
        assert found == {"kind": "folder", "path": "photos", "images": 12}
        state = await studio.encoded(photos, rule="lab")
        progress = state["progress"]
        assert (state["state"], progress["encoded"], progress["classified"]) == ("done", 12, 12)
        facts = await studio.get(f"sets/{state['key']}", errors="show")
        assert (facts["rows"], facts["failed"], facts["model"]) == (12, 2, "faces/1")
        assert facts["columns"] == {"tone": ["dark", "light"]}
        rows = (await studio.get(f"sets/{state['key']}/rows", errors="only"))["rows"]
        assert {row["id"]: row["error"] for row in rows} == {
            "03.jpg": "not a JPEG, PNG or WebP image",
            "05.jpg": "unreadable: empty file",
        }
        data, headers = await studio.read(f"sets/{state['key']}/export", form="csv")
    assert headers["Content-Disposition"] == 'attachment; filename="photos-weights.csv"'
    (tmp_path / "weights.csv").write_bytes(data)
    good = [name for number, name in enumerate(NAMES) if number not in {3, 5}]
    async with AsyncClient(server) as client:
        expected = await client.resample_weights([photos / name for name in good])
    exported = read_weights(tmp_path / "weights.csv")
    assert exported.ids.to_pylist() == good
    # In other batches a latent differs in its last bits.
    np.testing.assert_allclose(exported.values, expected.weights, rtol=1e-6)


async def test_weights_by_what_is_hard_keep_the_effective_sample_size_asked_for(
    server: str, photos: Path
) -> None:
    async with studio_over(server, photos) as studio:
        state = await studio.encoded(photos, rule="hard", least=0.9)
        chosen = (await studio.get(f"sets/{state['key']}"))["chosen"]
        assert chosen["weighted"] == 10
        assert chosen["effective"] >= 9 * (1 - 1e-6)


async def test_a_run_that_is_cancelled_ends_and_leaves_no_data_set(
    tmp_path: Path, photos: Path
) -> None:
    write_tiny_bundle(tmp_path / "models", Tiny(encode_seconds=1.0))
    async with (
        running(tmp_path / "models") as server,
        studio_over(server.address, photos) as studio,
    ):
        run = (await studio.post("runs", {"path": str(photos)}))["run"]
        assert (await studio.get(f"runs/{run}"))["state"] == "running"
        assert (await studio.post(f"runs/{run}/cancel", {}))["state"] == "cancelled"
        others = [await studio.post("runs", {"path": str(photos)}) for _ in range(2)]
        refused = await studio.post("runs", {"path": str(photos)}, 429)
        assert "at most 2" in refused["error"]["detail"]
        for other in others:
            await studio.post(f"runs/{other['run']}/cancel", {})


async def test_more_images_than_the_studio_takes_are_referred_to_the_batch_job(
    server: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "MOST_IMAGES", 3)
    async with studio_over(server, photos) as studio:
        error = (await studio.post("open", {"path": str(photos)}, 413))["error"]
        assert "more than 3 images" in error["detail"]
        assert "evenface-batch all" in error["hint"]
        state = await studio.encoded(photos)
        assert (state["state"], state["error"]["kind"]) == ("failed", "too-large")


async def test_a_run_without_a_service_says_what_to_do(photos: Path) -> None:
    async with studio_over("127.0.0.1:9", photos) as studio:
        state = await studio.encoded(photos)
        assert (state["state"], state["error"]["kind"]) == ("failed", "unavailable")
        assert "127.0.0.1:9" in state["error"]["detail"]
        assert "make serve" in state["error"]["hint"]


async def test_two_people_look_at_two_data_sets_and_two_filters_at_once(
    server: str, tmp_path: Path
) -> None:
    one = write_file(tmp_path / "one.parquet", Lines.drawn(40, seed=1))
    two = write_parts(tmp_path / "two", Lines.drawn(90, seed=2), [30, 31])
    (two / "job.json").write_text("{}")
    async with studio_over(server, tmp_path) as studio:
        first, second = await asyncio.gather(studio.opened(one), studio.opened("two"))
        texts = ("", "1.png", "0000")
        asked = [
            studio.get(f"sets/{key}/rows", text=text, errors="show", size="120")
            for key in (first, second)
            for text in texts
        ]
        found = await asyncio.gather(*asked)
    assert [some["total"] for some in found] == [40, 4, 10, 90, 9, 10]
    for some, (lines, text) in zip(
        found,
        [(lines, text) for lines in (Lines.drawn(40, 1), Lines.drawn(90, 2)) for text in texts],
        strict=True,
    ):
        weights = dict(zip(lines.ids, lines.weights, strict=True))
        average = np.mean([weight for weight in lines.weights if weight is not None])
        for row in some["rows"]:
            assert text in row["id"]
            weight = weights[row["id"]]
            multiple = None if weight is None else pytest.approx(weight / average)
            assert row["multiple"] == multiple


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": "-1"}, "page"),
        ({"page": "1e99"}, "page"),
        ({"size": "100000"}, "size"),
        ({"low": "nan"}, "low"),
        ({"rare_high": "2"}, "rare_high"),
        ({"labels": "{"}, "labels"),
        ({"labels": "[" * 2000}, "labels"),
        ({"labels": json.dumps({"a": 3})}, "labels.a"),
        ({"text": "x" * 301}, "text"),
        ({"order": "drop table"}, "order"),
        ({"form": "exe"}, "form"),
        ({"what": "1"}, "what"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(
    server: str, tmp_path: Path, query: dict[str, str], field: str
) -> None:
    write_file(tmp_path / "one.parquet", Lines.drawn(40))
    async with studio_over(server, tmp_path) as studio:
        key = await studio.opened("one.parquet")
        error = (await studio.get(f"sets/{key}/rows", 400, **query))["error"]
        assert f"'{field}'" in error["detail"] or error["detail"].startswith(f"{field}:")


async def test_a_page_beyond_the_last_is_the_last(server: str, tmp_path: Path) -> None:
    write_file(tmp_path / "one.parquet", Lines.drawn(40))
    async with studio_over(server, tmp_path) as studio:
        key = await studio.opened("one.parquet")
        found = await studio.get(f"sets/{key}/rows", page=10**9, size=7, errors="show")
        assert (found["page"], found["pages"], len(found["rows"])) == (5, 6, 5)
        nothing = await studio.get(f"sets/{key}/rows", page=3, text="no such")
        assert (nothing["total"], nothing["page"], nothing["rows"]) == (0, 0, [])
        labels = json.dumps({"no such column": "<script>"})
        assert (await studio.get(f"sets/{key}/rows", labels=labels))["total"] == 0


async def test_thumbnails_are_of_the_rows_of_the_data_set_alone(
    server: str, tmp_path: Path, photos: Path
) -> None:
    ids = ["00.jpg", "../secret.jpg", "gone.jpg", "<img src=x onerror=alert(1)>.jpg"]
    (tmp_path / "secret.jpg").write_bytes((photos / "01.jpg").read_bytes())
    lines = Lines(ids, [0.25] * 4, [0.9] * 4, [None] * 4)
    write_file(photos / "one.parquet", lines)
    async with studio_over(server, photos) as studio:
        key = await studio.opened("one.parquet")
        rows = (await studio.get(f"sets/{key}/rows", order="given"))["rows"]
        assert [row["id"] for row in rows] == ids
        assert [row["problem"] is None for row in rows] == [True, False, False, False]
        drawn = [await studio.read(f"sets/{key}/rows/{row}/thumbnail") for row in range(4)]
        kinds = [headers["Content-Type"] for _, headers in drawn]
        assert kinds == ["image/jpeg"] + 3 * ["image/svg+xml"]
        assert drawn[1][1]["X-Problem"] == "no longer there"
        await studio.get(f"sets/{key}/rows/4/thumbnail", 404)
        for path in ("../one.parquet", "-1", "0x0", "9" * 30, "%2e%2e%2fsecret.jpg"):
            async with studio.client.get(f"/api/dataset/sets/{key}/rows/{path}/thumbnail") as reply:
                assert reply.status == 404


@pytest.mark.parametrize("path", ["../..", "/etc", "/etc/passwd", "~", "photos/../../x", "\0"])
async def test_nothing_outside_is_opened_or_encoded(server: str, photos: Path, path: str) -> None:
    async with studio_over(server, photos) as studio:
        for where in ("open", "runs"):
            error = (await studio.post(where, {"path": path}, 404))["error"]
            assert error["title"] == "Not there"


async def test_a_job_that_is_written_anew_while_it_is_shown_is_opened_again(
    server: str, tmp_path: Path
) -> None:
    write_file(tmp_path / "one.parquet", Lines.drawn(40))
    async with studio_over(server, tmp_path) as studio:
        key = await studio.opened("one.parquet")
        write_file(tmp_path / "one.parquet", Lines.drawn(41, seed=5))
        for path in (f"sets/{key}", f"sets/{key}/rows", f"sets/{key}/export"):
            assert (await studio.get(path, 409))["error"]["kind"] == "changed"
        assert (await studio.get(f"sets/{await studio.opened('one.parquet')}"))["rows"] == 41


async def test_data_sets_that_nobody_looks_at_make_room(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "MOST_TOTAL_ROWS", 100)
    async with studio_over(server, tmp_path) as studio:
        keys = []
        for name in ("a", "b", "c"):
            write_file(tmp_path / f"{name}.parquet", Lines.drawn(40))
            keys.append(await studio.opened(f"{name}.parquet"))
        assert (await studio.get(f"sets/{keys[0]}", 410))["error"]["kind"] == "closed"
        assert (await studio.get(f"sets/{keys[2]}"))["rows"] == 40


async def test_without_weights_nothing_is_exported(server: str, tmp_path: Path) -> None:
    lines = Lines(["a", "b"], [None, None], [0.5, 0.6], [None, None])
    write_file(tmp_path / "bare.parquet", lines, mark=None)
    async with studio_over(server, tmp_path) as studio:
        key = await studio.opened("bare.parquet")
        facts = await studio.get(f"sets/{key}")
        assert not facts["has_weights"]
        assert facts["edges"] == []
        assert (
            "evenface-batch weights"
            in (await studio.get(f"sets/{key}/export", 400))["error"]["hint"]
        )


async def test_a_body_that_is_no_object_is_refused(server: str, photos: Path) -> None:
    async with studio_over(server, photos) as studio:
        bodies: list[object] = [[], "x", {}, {"path": 3}, {"path": "x", "more": 1}]
        for body in bodies:
            await studio.post("open", body, 400)
        for rule in ("none", "lab; rm"):
            error = (await studio.post("runs", {"path": "photos", "rule": rule}, 400))["error"]
            assert "'rule' is" in error["detail"]
