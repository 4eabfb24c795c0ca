"""The page around the tabs, in a browser."""

import pytest
from playwright.sync_api import Browser, expect
from support.studio import (
    NARROW,
    WIDE,
    StudioProcess,
    needs_chromium,
    scrolls_sideways,
    serious_findings,
    visiting,
)

pytestmark = needs_chromium


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


def test_the_theme_is_kept(browser: Browser, studio: StudioProcess) -> None:
    with visiting(browser, studio) as visit:
        page, root = visit.page, visit.page.locator("html")
        page.get_by_role("button", name="Theme: as the system has it").click()
        page.get_by_role("button", name="Theme: light").click()
        expect(root).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
        expect(root).to_have_attribute("data-theme", "dark")
