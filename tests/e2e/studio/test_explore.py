"""The tab Explore as people use it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.bundles import images
from support.image_files import png
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

DRAWN = "clients/studio/evenface_studio/static/drawn/face-1.jpg"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def visit(browser: Browser, studio: StudioProcess) -> Iterator[Visit]:
    with visiting(browser, studio, "explore") as opened:
        yield opened


def pixels(page: Page) -> list[int]:
    """Those of the reconstruction."""
    read: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector("#explore .frame canvas");
          const { width, height } = canvas;
          return [...canvas.getContext("2d").getImageData(0, 0, width, height).data];
        }"""
    )
    return read


def wait_for_other_pixels(page: Page, before: list[int]) -> list[int]:
    page.wait_for_function(
        """(before) => {
          const canvas = document.querySelector("#explore .frame canvas");
          if (canvas === null) return false;
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return data.length > 4 && data.some((value, place) => value !== before[place]);
        }""",
        arg=before,
    )
    return pixels(page)


def choose_sampled(page: Page, number: int = 2) -> Locator:
    page.get_by_role("tabpanel").get_by_role("button", name=f"Sampled face {number}").click()
    expect(page.get_by_role("heading", name="Latent dimensions")).to_be_visible()
    wait_for_other_pixels(page, [])
    return page.get_by_role("tabpanel", name="Explore")


def test_a_sampled_face_is_judged_and_changed_by_its_sliders(visit: Visit) -> None:
    panel = choose_sampled(visit.page)
    expect(panel.get_by_role("heading", name="A face", exact=True)).to_be_visible()
    expect(panel.get_by_text("of 100 dimensions it lies where")).to_be_visible()
    first = pixels(visit.page)

    panel.get_by_role("slider", name="Dimension").first.fill("2")
    changed = wait_for_other_pixels(visit.page, first)
    expect(panel.get_by_text("Changed", exact=True)).to_be_visible()
    panel.get_by_role("slider", name="tone-color").fill("1.5")
    wait_for_other_pixels(visit.page, changed)

    panel.get_by_role("button", name="Undo changes").click()
    expect(panel.get_by_text("Reconstruction", exact=True)).to_be_visible()
    visit.page.wait_for_function(
        """(wanted) => {
          const canvas = document.querySelector("#explore .frame canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return data.every((value, place) => value === wanted[place]);
        }""",
        arg=first,
    )


def test_the_rarest_dimensions_come_first_where_asked_for(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Drawn face 1").click()
    panel = page.get_by_role("tabpanel", name="Explore")
    expect(panel.get_by_role("heading", name="Not a face")).to_be_visible()
    expect(panel.get_by_role("heading", name="Rare")).to_be_visible()
    panel.get_by_role("radio", name="rarest here").check()
    shares = [
        0.0 if text.startswith("no") else float(text.removeprefix("< ").split(" ")[0])
        for text in panel.locator(".dim > p").all_inner_texts()
    ]
    assert len(shares) == 12
    assert shares == sorted(shares)
    panel.get_by_role("button", name="Show 12 more of 100").click()
    expect(panel.locator(".dim")).to_have_count(24)


def test_a_file_can_be_chosen_dropped_and_pasted(visit: Visit) -> None:
    page = visit.page
    panel = page.get_by_role("tabpanel", name="Explore")
    panel.locator("input[type=file]").set_input_files(ROOT / DRAWN)
    expect(panel.get_by_role("heading", name="Not a face")).to_be_visible()
    for kind, member in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """async ([kind, member]) => {
              const blob = await (await fetch("/static/drawn/face-2.jpg")).blob();
              const given = new DataTransfer();
              given.items.add(new File([blob], `${kind}.jpg`, { type: "image/jpeg" }));
              const event = new Event(kind, { bubbles: true, cancelable: true });
              Object.defineProperty(event, member, { value: given });
              document.querySelector(kind === "drop" ? "#explore .drop" : "body")
                .dispatchEvent(event);
            }""",
            [kind, member],
        )
        expect(page.locator("#announcer")).to_contain_text(f"{kind}.jpg is there")


def test_wrong_and_large_files_are_told_and_the_next_one_works(visit: Visit) -> None:
    page = visit.page
    visit.failures_expected = True
    panel = page.get_by_role("tabpanel", name="Explore")
    chosen = panel.locator("input[type=file]")
    alert = panel.get_by_role("alert")
    chosen.set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    expect(alert).to_contain_text("Choose a JPEG, PNG or WebP file.")
    chosen.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"text"})
    expect(alert).to_contain_text("not a JPEG, PNG or WebP image")
    page.evaluate(
        """() => {
          const given = new DataTransfer();
          given.items.add(new File([new Uint8Array(17 * 2 ** 20)], "a.png", { type: "image/png" }));
          const input = document.querySelector("#explore input[type=file]");
          input.files = given.files;
          input.dispatchEvent(new Event("change"));
        }"""
    )
    expect(alert).to_contain_text("a.png has 17.0 MiB; 16 MiB is the limit.")
    choose_sampled(page)
    expect(alert).to_have_count(0)


def test_sliders_that_move_fast_never_queue_requests_up(visit: Visit) -> None:
    page = visit.page
    panel = choose_sampled(page)
    before = pixels(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """() => {
          const slider = document.querySelector("#explore .dim input");
          for (let step = 0; step < 200; step += 1) {
            slider.value = Number(slider.min) + (step * (slider.max - slider.min)) / 199;
            slider.dispatchEvent(new Event("input"));
          }
        }"""
    )
    last = wait_for_other_pixels(page, before)
    # The newest wish is always the last to be drawn: asked for once more, nothing changes.
    expect(panel.get_by_text("Changed", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    last = pixels(page)
    drawn = len([url for url in asked if "decode" in url])
    assert 1 <= drawn <= 3
    panel.locator(".dim input").first.dispatch_event("change")
    page.wait_for_load_state("networkidle")
    assert pixels(page) == last


def test_a_face_is_explored_by_keyboard_alone(browser: Browser, studio: StudioProcess) -> None:
    with visiting(browser, studio) as visit:
        explore_by_keyboard(visit.page)


def explore_by_keyboard(page: Page) -> None:
    pick = page.get_by_role("button", name="Sampled face 1", exact=True)
    expect(pick).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the tab")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Tab")
        if pick.evaluate("(element) => element === document.activeElement"):
            break
    expect(pick).to_be_focused()
    page.keyboard.press("Enter")
    wait_for_other_pixels(page, [])
    before = pixels(page)
    slider = page.get_by_role("slider", name="tone-color")
    for _ in range(30):
        page.keyboard.press("Tab")
        if slider.evaluate("(element) => element === document.activeElement"):
            break
    expect(slider).to_be_focused()
    page.keyboard.press("End")
    expect(slider).to_have_js_property("value", "2")
    wait_for_other_pixels(page, before)


def test_terms_are_explained_on_focus_and_let_go_by_escape(visit: Visit) -> None:
    page = visit.page
    choose_sampled(page)
    button = page.get_by_role("button", name="What is: latent dimension")
    bubble = page.get_by_role("tooltip").filter(has_text="list of numbers")
    button.focus()
    page.keyboard.press("Enter")
    expect(bubble).to_be_visible()
    page.keyboard.press("Escape")
    expect(bubble).to_be_hidden()


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_a_face_can_be_explored_by_all(
    browser: Browser, studio: StudioProcess, width: int, scheme: str
) -> None:
    with visiting(browser, studio, "explore", width=width, scheme=scheme) as visit:
        choose_sampled(visit.page)
        assert serious_findings(visit.page) == []
        assert not scrolls_sideways(visit.page)


def test_models_of_other_kinds_show_what_they_can(browser: Browser, kinds: StudioProcess) -> None:
    face = {"name": "a.png", "mimeType": "image/png", "buffer": png(images(1)[0])}
    with visiting(browser, kinds, "explore") as visit:
        page = visit.page
        panel = page.get_by_role("tabpanel", name="Explore")
        picker = page.get_by_role("combobox", name="Model")
        picker.select_option(label="judge · version 1")
        panel.locator("input[type=file]").set_input_files(face)  # type: ignore[arg-type]
        expect(panel.get_by_text("probability of a face;")).to_be_visible()
        expect(panel.get_by_text("This model has no decoder")).to_be_visible()
        expect(panel.get_by_role("slider")).to_have_count(0)

        picker.select_option(label="bearded · version 1")
        expect(panel.get_by_role("slider", name="beard")).to_be_visible()
        assert np.ptp(np.array(wait_for_other_pixels(page, [])).reshape(-1, 4), axis=0)[3] == 0
        before = pixels(page)
        panel.get_by_role("slider", name="beard").fill("2")
        wait_for_other_pixels(page, before)

        picker.select_option(label="grey · version 1")
        expect(panel.get_by_text("does not tell face from non-face")).to_be_visible()
        expect(panel.get_by_text("no training histogram")).to_be_visible()
        grey = wait_for_other_pixels(page, before)
        panel.get_by_role("checkbox", name="In colour").check()
        red = np.array(wait_for_other_pixels(page, grey)).reshape(-1, 4)
        assert red[:, 1:3].max() == 0
