"""The tab Sample as people use it."""

import io
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


@pytest.fixture
def visit(browser: Browser, studio: StudioProcess) -> Iterator[Visit]:
    with visiting(browser, studio, "sample") as opened:
        expect(opened.page.locator(".tile")).to_have_count(16)
        yield opened


def sheet(page: Page) -> str:
    """All faces as one text, to tell sheets apart."""
    read: str = page.evaluate(
        """() => [...document.querySelectorAll(".tile canvas")].map((c) => c.toDataURL()).join()"""
    )
    return read


def wait_for_other_sheet(page: Page, before: str) -> str:
    page.wait_for_function(
        """(before) => {
          const tiles = [...document.querySelectorAll(".tile canvas")];
          return tiles.length > 0 && tiles.map((c) => c.toDataURL()).join() !== before;
        }""",
        arg=before,
    )
    return sheet(page)


def test_every_setting_draws_other_faces_and_the_old_ones_come_back(visit: Visit) -> None:
    page = visit.page
    first = sheet(page)
    page.get_by_role("spinbutton", name="Seed").fill("8")
    other = wait_for_other_sheet(page, first)
    page.get_by_role("slider", name="Temperature").fill("1.5")
    hot = wait_for_other_sheet(page, other)
    page.get_by_role("radio", name="standard normal").check()
    normal = wait_for_other_sheet(page, hot)
    page.get_by_role("slider", name="gender-f").fill("2")
    wait_for_other_sheet(page, normal)

    page.get_by_role("slider", name="gender-f").fill("0")
    page.get_by_role("radio", name="aggregate posterior").check()
    page.get_by_role("slider", name="Temperature").fill("0.8")
    page.get_by_role("spinbutton", name="Seed").fill("7")
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """(wanted) => [...document.querySelectorAll(".tile canvas")]
             .map((c) => c.toDataURL()).join() === wanted""",
        arg=first,
    )


def test_more_faces_and_others_are_drawn(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("combobox", name="Faces").select_option("32")
    expect(page.locator(".tile")).to_have_count(32)
    before = sheet(page)
    page.get_by_role("tabpanel").get_by_role("button", name="Other faces").click()
    wait_for_other_sheet(page, before)


def test_the_sheet_is_downloaded_as_png(visit: Visit) -> None:
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("link", name="Download PNG").click()
    download = waiting.value
    assert download.suggested_filename == "faces-1-seed-7.png"
    with Image.open(io.BytesIO(Path(download.path()).read_bytes())) as read:
        assert read.size == (8 * 128 + 7 * 4, 2 * 128 + 4)


def test_a_face_is_taken_to_explore_by_keyboard(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Face 3 of 16: explore it").focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("tabpanel", name="Explore")
    expect(panel.get_by_role("heading", name="A face", exact=True)).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("seed 7, face 3.png is there")


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_faces_can_be_sampled_by_all(
    browser: Browser, studio: StudioProcess, width: int, scheme: str
) -> None:
    with visiting(browser, studio, "sample", width=width, scheme=scheme) as visit:
        expect(visit.page.locator(".tile")).to_have_count(16)
        assert serious_findings(visit.page) == []
        assert not scrolls_sideways(visit.page)


def test_a_model_without_a_decoder_offers_those_that_have_one(
    browser: Browser, kinds: StudioProcess
) -> None:
    with visiting(browser, kinds, "sample") as visit:
        page = visit.page
        page.get_by_role("combobox", name="Model").select_option(label="judge · version 1")
        expect(page.get_by_text("This model draws no faces")).to_be_visible()
        page.get_by_role("button", name="Use grey 1").click()
        expect(page.get_by_role("radio", name="aggregate posterior")).to_be_disabled()
        expect(page.locator(".tile")).to_have_count(16)
        assert "grey" in page.locator("#model option:checked").inner_text()
