"""The tabs Morph, Dataset and Fairness by keyboard alone; Explore has its own walk."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect
from support.studio import (
    NARROW,
    WIDE,
    StudioProcess,
    is_seen,
    needs_chromium,
    tab_to,
    visiting,
)
from support.studio_data import Place, open_set

pytestmark = needs_chromium


@contextmanager
def begun(browser: Browser, studio: StudioProcess, tab: str, width: int = WIDE) -> Iterator[Page]:
    """A tab, from which Tab goes on: its name in the address is where a keyboard begins."""
    with visiting(browser, studio, tab, width=width) as visit:
        expect(visit.page.get_by_role("tabpanel").get_by_role("heading").first).to_be_visible()
        yield visit.page


def test_a_walk_is_taken_by_keyboard(browser: Browser, studio: StudioProcess) -> None:
    with begun(browser, studio, "morph") as page:
        keys, strip = page.keyboard, page.get_by_role("list", name="The walk in 9 steps")
        expect(strip).to_be_visible()
        change = page.locator("summary").first
        tab_to(page, change)
        keys.press("Enter")
        pick = page.get_by_role("button", name="Sampled face 3")
        expect(pick).to_be_visible()
        keys.press("Escape")
        expect(pick).to_be_hidden()
        expect(change).to_be_focused()
        keys.press("Enter")
        tab_to(page, pick)
        keys.press("Enter")
        expect(page.locator("#announcer")).to_have_text("First face: Sampled face 3.png is there.")
        expect(change).to_be_focused()

        play = page.get_by_role("button", name="Play")
        tab_to(page, play)
        keys.press("Enter")
        keys.press("Space")
        expect(play).to_be_focused()
        step = page.get_by_role("slider", name="Step of the walk")
        tab_to(page, step)
        at = int(step.input_value())
        keys.press("ArrowRight")
        expect(step).to_have_value(str(at + 1))

        frames = "(list) => [...list.querySelectorAll('canvas')].map((c) => c.toDataURL()).join()"
        before = strip.evaluate(frames)
        tab_to(page, page.get_by_role("radio", name="around the average face"))
        keys.press("ArrowRight")
        page.wait_for_function(
            f"([list, before]) => ({frames})(list) !== before",
            arg=[strip.element_handle(), before],
        )
        expect(page.get_by_role("radio", name="straight")).to_be_focused()
        tab_to(page, page.get_by_role("button", name="Strip (PNG)"))
        with page.expect_download():
            keys.press("Enter")

        more = page.get_by_role("button", name="Show 10 more")
        expect(page.locator(".traversed")).to_have_count(10)
        tab_to(page, more)
        keys.press("Enter")
        expect(page.locator(".traversed")).to_have_count(20)
        expect(more).to_be_focused()


def test_a_data_set_is_filtered_and_its_faces_walked_by_keyboard(
    browser: Browser, place: Place
) -> None:
    with begun(browser, place.studio, "dataset") as page:
        keys, name = page.keyboard, f"{place.data.name}/scores"
        panel = page.get_by_role("tabpanel", name="Dataset")
        tab_to(page, page.get_by_role("button", name=name))
        keys.press("Enter")
        expect(page.get_by_role("heading", name=name)).to_be_focused()
        expect(panel.get_by_text("1 to 60 of 70 rows")).to_be_visible()

        rarest = page.get_by_role("button", name="Rarest 10 %")
        tab_to(page, rarest)
        keys.press("Space")
        expect(panel.get_by_text(re.compile(r"^1 to (\d+) of \1 rows$"))).to_be_visible()
        expect(rarest).to_be_focused()
        blue = page.get_by_role("button", name="blue", exact=True)
        tab_to(page, blue)
        keys.press("Enter")
        expect(blue).to_have_attribute("aria-pressed", "true")
        expect(blue).to_be_focused()
        tab_to(page, page.get_by_role("button", name="Remove filter rarity"))
        keys.press("Enter")
        expect(page.get_by_role("button", name="Remove filter tone = blue")).to_be_focused()
        keys.press("Enter")
        expect(page.get_by_role("combobox", name="Order")).to_be_focused()

        expect(panel.get_by_text("1 to 60 of 70 rows")).to_be_visible()
        thumbs = page.locator(".thumb")
        tab_to(page, thumbs.first)
        columns = page.locator(".wall").evaluate(
            "(wall) => getComputedStyle(wall).gridTemplateColumns.split(' ').length"
        )
        walk = (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowUp", 1), ("End", 59))
        for key, at in walk:
            keys.press(key)
            expect(thumbs.nth(at)).to_be_focused()
        keys.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        keys.press("Escape")
        expect(thumbs.last).to_be_focused()
        tab_to(page, page.get_by_role("button", name="Next"), most=2)
        keys.press("Enter")
        expect(panel.get_by_text("61 to 70 of 70 rows")).to_be_visible()
        expect(page.get_by_role("heading", name="Faces")).to_be_focused()
        tab_to(page, thumbs.first, most=1)

        another = page.get_by_role("button", name="Choose another")
        another.focus()
        keys.press("Enter")
        expect(page.get_by_role("heading", name="Which data set?")).to_be_focused()
        tab_to(page, page.get_by_role("textbox", name="Or write a path"))
        keys.type("photos")
        keys.press("Enter")
        expect(page.get_by_role("heading", name="Encode 71 images")).to_be_focused()
        keys.press("Shift+Tab")
        tab_to(page, page.get_by_role("button", name="Encode"))
        keys.press("Enter")
        expect(page.get_by_role("heading", name=f"{place.data.name}/photos")).to_be_visible()


def test_what_is_no_face_is_left_out_by_keyboard(browser: Browser, place: Place) -> None:
    with begun(browser, place.studio, "dataset") as page:
        panel = open_set(page, f"{place.data.name}/odd.parquet")
        note = panel.get_by_text("1 row is less likely a face than not, and may weigh most.")
        expect(note).to_be_visible()
        tab_to(page, panel.get_by_role("button", name="Faces alone"))
        page.keyboard.press("Enter")
        expect(panel.get_by_text("1 to 1 of 1 row")).to_be_visible()
        expect(panel.get_by_role("button", name=re.compile("^b.png"))).to_be_visible()
        expect(note).to_be_hidden()
        expect(panel.get_by_role("heading", name="Faces")).to_be_focused()


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_groups_are_compared_by_keyboard_and_terms_are_seen(
    browser: Browser, place: Place, width: int
) -> None:
    with begun(browser, place.studio, "fairness", width) as page:
        keys = page.keyboard
        other = page.get_by_role("combobox", name="Compare with")
        tab_to(page, other)
        keys.press("ArrowDown")
        expect(page.get_by_text("split of the same data")).to_be_visible()
        expect(other).to_be_focused()
        for term in ("interval", "difference", "share of the weight"):
            button = page.get_by_role("button", name=re.compile(f"What is: {term}")).first
            tab_to(page, button)
            bubble = page.locator(".tip-bubble:visible")
            expect(bubble).to_have_count(1)
            assert is_seen(bubble), f"{term} is cut off"
            keys.press("Escape")
            expect(bubble).to_have_count(0)
