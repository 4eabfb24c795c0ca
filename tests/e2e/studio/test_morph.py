"""The tab Morph as people use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from support.studio import (
    NARROW,
    WIDE,
    StudioProcess,
    Visit,
    needs_chromium,
    scrolls_sideways,
    serious_findings,
    visiting,
)

pytestmark = needs_chromium

SHOWN = """() => {
  const canvases = [...document.querySelectorAll("#morph .frame canvas, #morph .strip canvas")];
  return canvases.map((canvas) => canvas.toDataURL()).join();
}"""


@pytest.fixture
def visit(browser: Browser, studio: StudioProcess) -> Iterator[Visit]:
    with visiting(browser, studio, "morph") as opened:
        ready(opened.page)
        yield opened


def ready(page: Page) -> None:
    expect(page.get_by_role("list", name="The walk in 9 steps")).to_be_visible()
    expect(page.locator(".traversed")).to_have_count(10)


def wait_for_other(page: Page, before: str) -> str:
    page.wait_for_function(f"(before) => ({SHOWN})() !== before", arg=before)
    now: str = page.evaluate(SHOWN)
    return now


def test_a_walk_is_followed_by_hand_and_played(visit: Visit) -> None:
    page = visit.page
    before = page.evaluate(SHOWN)
    step = page.get_by_role("slider", name="Step of the walk")
    step.fill("12")
    wait_for_other(page, before)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "() => document.querySelector('#morph .player input').valueAsNumber > 14"
    )
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_straight_way_is_another_one(visit: Visit) -> None:
    before = visit.page.evaluate(SHOWN)
    visit.page.get_by_role("radio", name="straight").check()
    wait_for_other(visit.page, before)


def test_the_second_face_is_changed(visit: Visit) -> None:
    page = visit.page
    before = page.evaluate(SHOWN)
    page.get_by_role("group").filter(has_text="Second face").locator("summary").click()
    page.get_by_role("button", name="Sampled face 3").click()
    wait_for_other(page, before)
    expect(page.get_by_text("Sampled face 3.png", exact=True)).to_be_visible()


def test_every_dimension_is_there_to_be_seen(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Show 10 more of 100").click()
    expect(page.locator(".traversed")).to_have_count(20)
    seen = page.locator(".traversed [role=img]").evaluate_all(
        "(rows) => rows.map((row) => row.getAttribute('aria-label'))"
    )
    assert len(set(seen)) == 20


def test_a_walk_is_kept_as_strip_and_as_animation(visit: Visit) -> None:
    for name, size, frames in (
        ("Strip (PNG)", (9 * 128 + 8 * 4, 128), 1),
        ("Animation (GIF)", (128, 128), 48),
    ):
        with visit.page.expect_download() as waiting:
            visit.page.get_by_role("button", name=name).click()
        with Image.open(Path(waiting.value.path())) as read:
            assert read.size == size
            assert getattr(read, "n_frames", 1) == frames


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_a_walk_can_be_taken_by_all(
    browser: Browser, studio: StudioProcess, width: int, scheme: str
) -> None:
    with visiting(browser, studio, "morph", width=width, scheme=scheme) as visit:
        ready(visit.page)
        assert serious_findings(visit.page) == []
        assert not scrolls_sideways(visit.page)


def test_a_model_that_cannot_walk_says_so(browser: Browser, kinds: StudioProcess) -> None:
    with visiting(browser, kinds, "morph") as visit:
        page = visit.page
        page.get_by_role("combobox", name="Model").select_option(label="judge · version 1")
        expect(page.get_by_text("This model draws no faces")).to_be_visible()
        page.get_by_role("combobox", name="Model").select_option(label="grey · version 1")
        expect(page.get_by_role("checkbox", name="In colour")).to_be_visible()
        expect(page.locator(".traversed")).to_have_count(4)
