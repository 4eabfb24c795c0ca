"""Models of several kinds in Fairness, Dataset and Live; the other tabs have tests of their own."""

from playwright.sync_api import Browser, Page, expect
from support.studio import StudioProcess, needs_chromium, serious_findings, visiting

pytestmark = needs_chromium

NO_RATES = "The card has no rates of groups."
NO_WEIGHTS = "The card does not say which share of the weight groups get."
UNJUDGING = "This model does not tell face from non-face"
NO_LATENTS = "This model gives no latents"


def choose(page: Page, name: str) -> None:
    page.get_by_role("combobox", name="Model").select_option(label=f"{name} · version 1")


def test_models_of_every_kind_show_what_they_can_and_say_what_they_cannot(
    browser: Browser, kinds: StudioProcess
) -> None:
    with visiting(browser, kinds, "live") as visit:
        expect(visit.page.get_by_text("once a second")).to_be_visible()  # counts from here on
        look_at_groups(visit.page)
        encode_by_each(visit.page)
        look_at_work(visit.page)


def look_at_groups(page: Page) -> None:
    page.get_by_role("tab", name="Fairness").click()
    panel = page.get_by_role("tabpanel", name="Fairness")
    for name, notes in (
        ("bearded", (NO_RATES, NO_WEIGHTS)),
        ("judge", (NO_RATES, NO_LATENTS)),
        ("unjudging", (UNJUDGING, NO_WEIGHTS)),
    ):
        choose(page, name)
        expect(panel.locator(".legend")).to_contain_text(f"{name}/1")
        for note in notes:
            expect(panel.get_by_text(note)).to_be_visible()
        shares = panel.get_by_role("region", name="Share of the training faces by tone")
        expect(shares.get_by_role("row", name="gray")).to_contain_text("25.0 % of the faces")
    choose(page, "grey")
    expect(panel.get_by_text("The card of grey/1 has no groups")).to_be_visible()
    assert serious_findings(page) == []


def encode_by_each(page: Page) -> None:
    page.get_by_role("tab", name="Dataset").click()
    panel = page.get_by_role("tabpanel", name="Dataset")
    for name in ("bearded", "unjudging", "grey"):
        choose(page, name)
        panel.get_by_role("button", name="photos").click()
        model = panel.get_by_role("combobox", name="Model", exact=True)
        expect(model.locator("option:checked")).to_have_text(f"{name} · version 1")
        rule = panel.get_by_role("combobox", name="Rule of the weights")
        expect(rule.get_by_role("option")).to_have_count(3 if name == "bearded" else 2)
        panel.get_by_role("button", name="Encode").click()
        expect(panel.get_by_text(f"3 rows  ·  model {name}/1  ·  rule lab")).to_be_visible()
        expect(panel.locator(".thumb")).to_have_count(3)
        judged = panel.get_by_role("group", name="Probability of a face")
        expect(judged).to_have_count(1 if name == "bearded" else 0)
        unjudged = panel.get_by_text("There are no probabilities of a face")
        expect(unjudged).to_have_count(0 if name == "bearded" else 1)
        panel.get_by_role("button", name="Choose another").click()
    choose(page, "judge")
    panel.get_by_role("button", name="photos").click()
    expect(panel.get_by_text("judge 1, which is chosen above, gives no latents")).to_be_visible()
    assert serious_findings(page) == []


def look_at_work(page: Page) -> None:
    page.get_by_role("tab", name="Live").click()
    panel = page.get_by_role("tabpanel", name="Live")
    expect(panel.get_by_role("row", name="FaceService/EncodeStream")).to_be_visible()
    drift = panel.get_by_role("region", name="Drift by model")
    expect(drift.get_by_role("row", name="bearded/1")).to_contain_text("too few yet")
    expect(drift.get_by_role("row", name="unjudging/1")).to_contain_text("too few yet")
    expect(drift.get_by_role("row", name="grey/1")).to_have_count(0)
    expect(panel.get_by_text("No drift of grey/1: its bundle has no histogram")).to_be_visible()
