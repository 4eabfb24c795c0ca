"""What the tabs Explore, Sample and Morph get to show, over a real server."""

import asyncio
import importlib
import io
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.bundles import SIZE, expected_images, expected_mean, images
from support.image_files import png
from support.studio_http import Page, error_of, pixels_of

FACES = images(2)
FACE = png(FACES[0])


async def test_the_page_gets_the_models_and_what_each_can_do(page: Page) -> None:
    told = await (await page.get("/api/models")).json()
    able = {one["name"]: one["functions"] for one in told["models"]}
    assert able["judge"] == ["classify"]
    assert set(able["grey"]) == {"encode", "decode", "colorize"}
    assert [one["name"] for one in told["models"] if one["is_default"]] == ["faces"]
    details = await (await page.get("/api/model", model="faces")).json()
    assert details["attribute_quality"][0]["auc"] == 0.75
    assert details["has_aggregate_posterior"]


async def test_a_face_comes_with_its_latent_probability_and_rarity(page: Page) -> None:
    found = await page.face(FACE)
    mean = expected_mean(FACES[:1])[0]
    assert found["latents"] == pytest.approx(mean.tolist(), abs=1e-5)
    brightness = FACES[0].mean() / 255
    logit = 10 * (brightness - 0.5)
    assert found["face"]["probability"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
    assert found["face"]["is_face"] == (found["face"]["probability"] >= 0.5)
    assert sorted(found["rarity"]["order"]) == [0, 1, 2, 3]
    assert found["rarity"]["total"] == 200
    assert found["rarity"]["shares"] == sorted(found["rarity"]["shares"])


async def test_a_model_tells_what_it_can_and_no_more(page: Page) -> None:
    judged = await page.face(FACE, "judge")
    assert (judged["latents"], judged["rarity"]) == (None, None)
    assert judged["face"] is not None
    grey = await page.face(FACE, "grey")
    assert (grey["face"], grey["rarity"]) == (None, None)
    assert len(grey["latents"]) == 4


async def test_latents_and_attributes_are_drawn_as_the_model_draws_them(page: Page) -> None:
    latents = np.array([[1, -1, 0.5, 2], [0, 1, 0, -1]], np.float32)
    body = {"latents": latents.tolist(), "columns": 2}
    drawn = await pixels_of(await page.post("/api/explore/decode", body))
    expected = expected_images(latents)
    assert np.abs(drawn[:, :SIZE].astype(int) - expected[0]).max() <= 1
    assert np.abs(drawn[:, SIZE:].astype(int) - expected[1]).max() <= 1
    smiling = {**body, "attributes": {"smiling": 2.0}}
    moved = await pixels_of(await page.post("/api/explore/decode", smiling))
    shifted = expected_images(latents + 2 * np.array([1, 0, 0, 2], np.float32))
    assert np.abs(moved[:, :SIZE].astype(int) - shifted[0]).max() <= 1


async def test_a_conditional_model_takes_its_conditions(page: Page) -> None:
    body = {"latents": [[0.0] * 4], "attributes": {"beard": 1.0}}
    drawn = await pixels_of(await page.post("/api/explore/decode", body, model="bearded"))
    expected = expected_images(np.zeros((1, 4), np.float32), np.ones((1, 1), np.float32))
    assert np.abs(drawn.astype(int) - expected[0]).max() <= 1


async def test_a_grey_model_is_shown_grey_or_painted(page: Page) -> None:
    body = {"latents": [[1.0] * 4]}
    grey = await pixels_of(await page.post("/api/explore/decode", body, model="grey"))
    assert np.ptp(grey, axis=-1).max() == 0
    painted = await pixels_of(
        await page.post("/api/explore/decode", {**body, "color": True}, model="grey")
    )
    assert painted[..., 1:].max() == 0
    assert np.array_equal(painted[..., 0], grey[..., 0])


async def test_a_model_without_a_decoder_says_so(page: Page) -> None:
    reply = await page.post("/api/explore/decode", {"latents": [[0.0] * 4]}, model="judge")
    assert reply.status == 422
    assert (await error_of(reply))["kind"] == "unsupported"


async def test_a_seed_gives_the_same_faces_in_sheets_of_any_length(page: Page) -> None:
    query = {"model": "faces", "seed": 3, "temperature": 0.5}
    long = await pixels_of(await page.get("/api/sample/sheet", count=5, **query))
    short = await pixels_of(await page.get("/api/sample/sheet", count=2, **query))
    assert long.shape == (SIZE, 5 * SIZE, 3)
    assert np.array_equal(long[:, : 2 * SIZE], short)
    normal = await pixels_of(await page.get("/api/sample/sheet", count=5, prior="normal", **query))
    assert not np.array_equal(long, normal)
    smiling = await pixels_of(
        await page.get("/api/sample/sheet", count=5, attributes='{"smiling": 2}', **query)
    )
    assert not np.array_equal(long, smiling)


async def test_a_sheet_is_kept_as_a_file_of_its_own_name(page: Page) -> None:
    reply = await page.get("/api/sample/file", model="faces", count=9, seed=12)
    assert 'filename="faces-1-seed-12.png"' in reply.headers["Content-Disposition"]
    scale = 128 // SIZE
    side = SIZE * scale
    height, width, _ = (await pixels_of(reply)).shape
    assert (height, width) == (2 * side + 2 * scale, 8 * side + 7 * 2 * scale)


async def test_a_walk_around_the_average_keeps_its_distance_and_a_straight_one_does_not(
    page: Page,
) -> None:
    body = {"start": [2.0, 0, 0, 0], "end": [0, 2.0, 0, 0], "steps": 3}
    around = await pixels_of(await page.post("/api/morph/walk", body))
    straight = await pixels_of(await page.post("/api/morph/walk", {**body, "way": "linear"}))
    assert around.shape == straight.shape == (SIZE, 3 * SIZE, 3)
    halfway = expected_images(np.array([[1, 1, 0, 0]], np.float32))[0]
    assert np.abs(straight[:, SIZE : 2 * SIZE].astype(int) - halfway).max() <= 1
    assert np.array_equal(around[:, :SIZE], straight[:, :SIZE])
    assert not np.array_equal(around[:, SIZE : 2 * SIZE], straight[:, SIZE : 2 * SIZE])


async def test_a_walk_is_kept_as_a_strip_and_as_an_animation(page: Page) -> None:
    body = {"start": [2.0, 0, 0, 0], "end": [0, 2.0, 0, 0], "steps": 4}
    strip = await pixels_of(await page.post("/api/morph/strip", body))
    assert strip.shape[1] == 4 * 128 + 3 * 4
    reply = await page.post("/api/morph/animation", body)
    assert 'filename="morph.gif"' in reply.headers["Content-Disposition"]
    with Image.open(io.BytesIO(await reply.read())) as read:
        assert sum(1 for _ in ImageSequence.Iterator(read)) == 6


async def test_a_traversal_has_a_row_for_each_dimension(page: Page) -> None:
    body = {"latent": [0.0] * 4, "dimensions": [3, 1], "steps": 5}
    rows = await pixels_of(await page.post("/api/morph/traversal", body))
    assert rows.shape == (2 * SIZE, 5 * SIZE, 3)


LATENT = [0.0] * 4
ENDS = {"start": LATENT, "end": [1.0] * 4}


@pytest.mark.parametrize(
    ("maker", "path", "body"),
    [
        ("explore.sheet", "/api/explore/decode", {"latents": [LATENT]}),
        ("sample.sheet", "/api/sample/sheet", None),
        ("sample.sheet", "/api/sample/file", None),
        ("morph.sheet", "/api/morph/walk", ENDS),
        ("morph.sheet", "/api/morph/strip", ENDS),
        ("morph.walk", "/api/morph/animation", ENDS),
        ("morph.sheet", "/api/morph/traversal", {"latent": LATENT, "dimensions": [0]}),
    ],
)
async def test_others_are_answered_while_faces_become_a_file(
    page: Page, monkeypatch: pytest.MonkeyPatch, maker: str, path: str, body: object
) -> None:
    module, name = maker.split(".")
    make = getattr(importlib.import_module(f"evenface_studio.{module}"), name)
    begun, others = threading.Event(), threading.Event()

    def slow(*args: Any, **named: Any) -> bytes:  # noqa: ANN401
        begun.set()
        assert others.wait(30), "nobody else was answered meanwhile"
        made: bytes = make(*args, **named)
        return made

    monkeypatch.setattr(f"evenface_studio.{maker}", slow)
    asking = page.get(path, model="faces") if body is None else page.post(path, body)
    waiting = asyncio.ensure_future(asking)
    await asyncio.to_thread(begun.wait, 30)
    assert (await page.get("/api/models")).status == 200
    others.set()
    assert (await waiting).status == 200


async def test_many_may_ask_at_once(page: Page) -> None:
    asked = [page.get("/api/sample/sheet", model="faces", count=4, seed=n) for n in range(12)]
    assert {reply.status for reply in await asyncio.gather(*asked)} == {200}
