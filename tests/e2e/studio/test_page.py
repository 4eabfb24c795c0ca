"""The page around the tabs, in a browser."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.patience import PATIENCE
from support.ports import free_port
from support.servers import server_process
from support.studio import (
    NARROW,
    WIDE,
    StudioProcess,
    needs_chromium,
    scrolls_sideways,
    serious_findings,
    studio_process,
    visiting,
)

pytestmark = needs_chromium

ROOT = Path(__file__).parents[3]
BACK_MS = PATIENCE * 1000  # the page looks every two seconds


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_by_all_in_both_themes(
    browser: Browser, studio: StudioProcess, width: int, scheme: str
) -> None:
    with visiting(browser, studio, width=width, scheme=scheme) as visit:
        expect(visit.page.get_by_role("combobox", name="Model")).to_be_enabled()
        assert serious_findings(visit.page) == []
        assert not scrolls_sideways(visit.page)


def test_tabs_are_walked_by_arrow_keys(browser: Browser, studio: StudioProcess) -> None:
    with visiting(browser, studio) as visit:
        page = visit.page
        page.get_by_role("tab", name="Explore").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Sample")).to_be_focused()
        expect(page.get_by_role("tabpanel", name="Sample")).to_be_visible()
        page.keyboard.press("End")
        expect(page.get_by_role("tabpanel", name="Live")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Explore")).to_have_attribute("aria-selected", "true")
        assert page.url.endswith("#explore")


def test_a_tab_can_be_linked_to(browser: Browser, studio: StudioProcess) -> None:
    with visiting(browser, studio, "morph") as visit:
        expect(visit.page.get_by_role("tabpanel", name="Morph")).to_be_visible()
        expect(visit.page.get_by_role("tabpanel", name="Explore")).to_be_hidden()


def test_the_tab_that_is_open_can_be_seen_where_not_all_fit(
    browser: Browser, studio: StudioProcess
) -> None:
    with visiting(browser, studio, "live", width=240) as visit:
        page = visit.page
        first, last = (page.get_by_role("tab", name=name) for name in ("Explore", "Live"))
        expect(last).to_be_in_viewport(ratio=0.9)
        expect(first).not_to_be_in_viewport(ratio=0.9)
        page.goto(f"{studio.url}#explore")  # no focus goes there, which would show it
        expect(first).to_be_in_viewport(ratio=0.9)
        expect(last).not_to_be_in_viewport(ratio=0.9)


def test_the_theme_is_kept(browser: Browser, studio: StudioProcess) -> None:
    with visiting(browser, studio) as visit:
        page, root = visit.page, visit.page.locator("html")
        page.get_by_role("button", name="Theme: as the system has it").click()
        page.get_by_role("button", name="Theme: light").click()
        expect(root).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
        expect(root).to_have_attribute("data-theme", "dark")


def test_the_page_waits_for_the_service_and_goes_on_when_it_is_back(browser: Browser) -> None:
    models, port = ROOT / "models", free_port()
    options = ("--port", str(port), "--workers", "1")
    with (
        studio_process(f"127.0.0.1:{port}") as studio,
        visiting(browser, studio, "sample") as visit,
    ):
        visit.failures_expected = True
        page, tiles = visit.page, visit.page.locator(".tile")
        down = page.get_by_role("alert").filter(has_text="The service does not answer")
        expect(down).to_contain_text("make serve")
        assert serious_findings(page) == []
        with server_process(models, *options) as server:
            expect(tiles).to_have_count(16, timeout=BACK_MS)
            expect(down).to_have_count(0)
            server.end()
            page.get_by_role("spinbutton", name="Seed").fill("9")
            expect(down.first).to_be_visible(timeout=BACK_MS)
        with server_process(models, *options):
            expect(down).to_have_count(0, timeout=BACK_MS)
            expect(tiles).to_have_count(16)


def test_the_page_says_when_the_studio_itself_has_stopped(browser: Browser) -> None:
    server, port = f"127.0.0.1:{free_port()}", free_port()
    with ExitStack() as running:
        studio = running.enter_context(studio_process(server, port=port))
        with visiting(browser, studio) as visit:
            visit.failures_expected = True
            alert = visit.page.get_by_role("alert")
            expect(alert).to_contain_text("The service does not answer")
            running.close()
            alert.get_by_role("button", name="Try again").click()
            expect(alert).to_contain_text("The studio has stopped")
            with studio_process(server, port=port):
                expect(alert).to_contain_text("The service does not answer", timeout=BACK_MS)
