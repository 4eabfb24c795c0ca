"""Dataset, Fairness and Live in a browser, as people use them: a real service, a real job."""

import re
from pathlib import Path

import pytest
from evenface_client import Client
from evenface_client.weights import read_weights
from playwright.sync_api import Browser, Page, expect
from support.scored_files import Lines, write_file
from support.studio import (
    NARROW,
    WIDE,
    needs_chromium,
    scrolls_sideways,
    serious_findings,
    studio_process,
    visiting,
)
from support.studio_data import FACES, HOSTILE, Place, at, open_set

pytestmark = needs_chromium


def check_both_ways(page: Page) -> None:
    assert serious_findings(page) == []
    assert not scrolls_sideways(page)


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_a_job_shows_its_rarest_faces_and_what_labels_weigh(
    browser: Browser, place: Place, width: int, scheme: str
) -> None:
    with at(browser, place, "dataset", width=width, scheme=scheme) as page:
        check_both_ways(page)
        panel = open_set(page, f"{place.data.name}/scores")
        expect(panel.get_by_text("71 rows")).to_be_visible()
        expect(panel.get_by_role("row", name=re.compile("^blue"))).to_contain_text("×")
        picture = panel.locator("img.thumb-picture").first
        picture.scroll_into_view_if_needed()
        page.wait_for_function(
            "image => image.complete && image.naturalWidth === 176", arg=picture.element_handle()
        )
        check_both_ways(page)


def test_faces_are_filtered_by_keyboard_text_label_and_rarity(
    browser: Browser, place: Place
) -> None:
    with at(browser, place, "dataset") as page:
        panel = open_set(page, f"{place.data.name}/scores")
        panel.get_by_role("searchbox", name="Text in the id").fill("01")
        expect(panel.get_by_text("1 to 11 of 11 rows")).to_be_visible()
        panel.get_by_role("button", name="blue").click()
        expect(panel.get_by_text("1 to 1 of 1 row")).to_be_visible()
        panel.get_by_role("button", name="Remove all").click()
        expect(panel.get_by_text("1 to 60 of 70 rows")).to_be_visible()
        panel.get_by_role("slider", name="from").nth(1).focus()
        for _ in range(5):
            page.keyboard.press("PageUp")
        expect(
            panel.get_by_role("button", name=re.compile("Remove filter rarity 50"))
        ).to_be_visible()
        panel.get_by_role("button", name="All", exact=True).click()
        panel.get_by_role("radio", name="Only those with an error").check()
        expect(panel.get_by_role("button", name=re.compile("^broken.png, error"))).to_be_visible()
        panel.get_by_role("searchbox", name="Text in the id").fill("nowhere")
        expect(panel.get_by_text("No row passes the filters")).to_be_visible()
        panel.get_by_role("button", name="Remove the filters").click()
        panel.get_by_role("button", name="Next").click()
        expect(panel.get_by_text("61 to 70 of 70 rows")).to_be_visible()


def test_a_face_is_looked_at_in_full_and_left_by_escape(browser: Browser, place: Place) -> None:
    with at(browser, place, "dataset") as page:
        panel = open_set(page, f"{place.data.name}/scores")
        panel.get_by_label("Order").select_option("given")
        face = panel.get_by_role("button", name=re.compile(r"^000\.png"))
        expect(panel.locator(".thumb").first).to_have_accessible_name(re.compile(r"^000\.png"))
        face.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="000.png")
        expect(dialog.get_by_text("blue")).to_be_visible()
        assert serious_findings(page) == []
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(face).to_be_focused()


def test_filtered_weights_are_taken_away(browser: Browser, place: Place, tmp_path: Path) -> None:
    with at(browser, place, "dataset") as page:
        panel = open_set(page, f"{place.data.name}/scores")
        panel.get_by_role("button", name="blue").click()
        expect(panel.get_by_text("1 to 6 of 6 rows")).to_be_visible()
        whole = read_weights(place.data / "scores")
        known = dict(zip(whole.ids.to_pylist(), whole.values.tolist(), strict=True))
        for name, form in (("Weights, Parquet", "parquet"), ("CSV", "csv")):
            with page.expect_download() as started:
                panel.get_by_role("link", name=re.compile(name)).click()
            path = tmp_path / f"weights.{form}"
            started.value.save_as(path)
            taken = read_weights(path)
            assert taken.ids.to_pylist() == [f"{number:03}.png" for number in range(0, FACES, 12)]
            assert taken.values.tolist() == [known[name] for name in taken.ids.to_pylist()]


def test_a_folder_is_encoded_while_one_waits_and_can_be_left(
    browser: Browser, place: Place
) -> None:
    with at(browser, place, "dataset") as page:
        panel = page.get_by_role("tabpanel", name="Dataset")
        panel.get_by_label("Or write a path").fill("photos")
        page.keyboard.press("Enter")
        expect(panel.get_by_role("heading", name="Encode 71 images")).to_be_visible()
        assert serious_findings(page) == []
        panel.get_by_role("combobox", name="Rule of the weights").select_option("hard")
        panel.get_by_role("button", name="Encode").click()
        expect(panel.get_by_text("rule hard")).to_be_visible()
        expect(panel.locator(".thumb").first).to_be_visible()
        panel.get_by_role("button", name="Choose another").click()
        expect(panel.get_by_role("heading", name="Which data set?")).to_be_visible()


def test_what_cannot_be_opened_says_what_to_do(browser: Browser, place: Place) -> None:
    with visiting(browser, place.studio, "dataset") as visit:
        visit.failures_expected = True
        panel = visit.page.get_by_role("tabpanel", name="Dataset")
        for path, said in (("../../etc", "Not there"), ("damaged.parquet", "cannot be read")):
            panel.get_by_label("Or write a path").fill(path)
            panel.get_by_role("button", name="Open").click()
            expect(panel.get_by_role("alert")).to_contain_text(said)
            assert serious_findings(visit.page) == []
            panel.get_by_role("button", name="Choose another").click()


def test_an_id_that_is_markup_is_text(browser: Browser, place: Place) -> None:
    with at(browser, place, "dataset") as page:
        panel = open_set(page, f"{place.data.name}/odd.parquet")
        expect(panel.get_by_text(HOSTILE).first).to_be_visible()
        panel.get_by_role("button", name=re.compile("^<img")).click()
        expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(HOSTILE)
        assert page.title() != "broken"


def test_a_file_that_changes_is_opened_again(browser: Browser, place: Place) -> None:
    path = write_file(place.data / "changing.parquet", Lines.drawn(130))
    with visiting(browser, place.studio, "dataset") as visit:
        visit.failures_expected = True
        panel = open_set(visit.page, f"{place.data.name}/changing.parquet")
        write_file(path, Lines.drawn(20, seed=4))
        panel.get_by_role("button", name="Next").click()
        panel.get_by_role("button", name="Open again").click()
        expect(panel.get_by_text("20 rows", exact=False).first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_groups_of_two_versions_are_side_by_side(
    browser: Browser, place: Place, width: int, scheme: str
) -> None:
    with at(browser, place, "fairness", width=width, scheme=scheme) as page:
        panel = page.get_by_role("tabpanel", name="Fairness")
        panel.get_by_label("Compare with").select_option("faces/1")
        expect(panel.get_by_text("split of the same data")).to_be_visible()
        gray = (
            panel.get_by_role("region", name="Groups of tone")
            .get_by_role("row", name=re.compile("^gray"))
            .first
        )
        for said in ("380 of 382", "75.0 %", "beyond chance"):
            expect(gray).to_contain_text(said)
        few = panel.get_by_role("row", name=re.compile("^F few faces"))
        expect(few).to_contain_text("16 of 16")
        expect(panel.get_by_role("row", name=re.compile("^Lowest group"))).to_contain_text("75.0 %")
        check_both_ways(page)


def test_a_model_without_groups_says_how_to_have_some(browser: Browser, place: Place) -> None:
    with at(browser, place, "fairness") as page:
        page.get_by_role("combobox", name="Model").select_option(label="plain · version 1")
        panel = page.get_by_role("tabpanel", name="Fairness")
        expect(panel.get_by_text("The card of plain/1 has no groups")).to_be_visible()
        expect(panel.get_by_text("data.group_columns")).to_be_visible()
        assert serious_findings(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_what_the_service_does_is_seen_as_it_does_it(
    browser: Browser, place: Place, width: int, scheme: str
) -> None:
    with at(browser, place, "live", width=width, scheme=scheme) as page:
        panel = page.get_by_role("tabpanel", name="Live")
        expect(panel.get_by_text("once a second")).to_be_visible()
        with Client(place.server.address) as client:
            client.sample(20, seed=1)
        row = panel.get_by_role("row", name="FaceService/Sample")
        expect(row).to_contain_text("/s")
        expect(
            panel.get_by_role("img", name=re.compile("^Latency, the last 1 min"))
        ).to_be_visible()
        check_both_ways(page)
        panel.get_by_role("button", name="Pause").click()
        expect(panel.get_by_text("Paused")).to_be_visible()
        panel.get_by_role("button", name="Go on").click()
        expect(panel.get_by_text("once a second")).to_be_visible()


def test_without_metrics_and_folders_the_tabs_say_how_to_start_the_studio(
    browser: Browser, place: Place
) -> None:
    with (
        studio_process(place.server.address, "--metrics", "http://127.0.0.1:9/metrics") as studio,
        visiting(browser, studio, "live") as visit,
    ):
        panel = visit.page.get_by_role("tabpanel", name="Live")
        expect(panel.get_by_role("alert")).to_contain_text("http://127.0.0.1:9/metrics")
        expect(panel.get_by_role("alert")).to_contain_text("--metrics URL")
        assert serious_findings(visit.page) == []
        visit.page.get_by_role("tab", name="Dataset").click()
        expect(visit.page.get_by_text("--data FOLDER")).to_be_visible()
