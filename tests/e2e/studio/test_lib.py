"""Functions of the page by themselves, in the browser that they are written for."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from support.studio import StudioProcess, needs_chromium, visiting

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(browser: Browser, studio: StudioProcess) -> Iterator[Page]:
    with visiting(browser, studio) as visit:
        yield visit.page


def run(page: Page, module: str, code: str) -> Any:  # noqa: ANN401 - whatever the code returns
    """What code returns that has a module of the page as `lib`."""
    return page.evaluate(
        f"async () => {{ const lib = await import('/static/lib/{module}.js'); {code} }}"
    )


def test_only_the_newest_of_many_wishes_waits(page: Page) -> None:
    code = """
      const asked = [], shown = [], answers = [];
      const work = (wish) => {
        asked.push(wish);
        return new Promise((done) => answers.push(done));
      };
      const live = lib.latest(work, (result) => shown.push(result), () => {});
      const turn = () => new Promise((done) => setTimeout(done));
      for (const wish of [1, 2, 3, 4]) live.ask(wish);
      answers.shift()("one"); await turn();
      answers.shift()("four"); await turn();
      return { asked, shown, left: answers.length };
    """
    assert run(page, "latest", code) == {"asked": [1, 4], "shown": ["one", "four"], "left": 0}


def test_an_urgent_wish_aborts_what_is_in_flight_and_its_answer_is_not_shown(page: Page) -> None:
    code = """
      const shown = [], failed = [], signals = [], answers = [];
      const work = (wish, signal) => new Promise((done, fail) => {
        signals.push(signal);
        answers.push(done);
        signal.addEventListener("abort", () => fail(signal.reason));
      });
      const live = lib.latest(work, (result) => shown.push(result), (error) => failed.push(error));
      const turn = () => new Promise((done) => setTimeout(done));
      live.ask(1);
      live.ask(2);
      live.ask(3, { urgent: true });
      answers[0]("stale");
      answers[1]("newest");
      await turn();
      return { aborted: signals.map((s) => s.aborted), shown, failed };
    """
    found = run(page, "latest", code)
    assert found == {"aborted": [True, False], "shown": ["newest"], "failed": []}


def test_an_error_of_the_newest_wish_is_told_and_the_next_wish_goes_on(page: Page) -> None:
    code = """
      const shown = [], failed = [];
      const work = async (wish) => { if (wish === 1) throw new Error("no"); return wish; };
      const live = lib.latest(work, (r) => shown.push(r), (error) => failed.push(error.message));
      live.ask(1);
      live.ask(2);
      await new Promise((done) => setTimeout(done, 10));
      return { shown, failed };
    """
    assert run(page, "latest", code) == {"shown": [2], "failed": ["no"]}


def test_a_value_lies_in_a_bin_whose_ends_are_open(page: Page) -> None:
    code = "return [-9, 0, 0.5, 1, 2.9, 3, 99, null].map((v) => lib.binOf(v, [0, 1, 2, 3]));"
    assert run(page, "charts", code) == [0, 0, 0, 1, 2, 2, 2, -1]
    reached = run(page, "charts", "return [lib.reaching([0, 1, 2], -5), lib.reaching([0, 1], 7)];")
    assert reached == [[-5, 1, 2], [0, 7]]


def test_a_histogram_has_bars_as_high_as_their_density(page: Page) -> None:
    code = """
      const what = { counts: [10, 10, 0], edges: [0, 1, 3, 4], marker: 3.5, label: "three bins" };
      const chart = lib.histogram({ ...what, width: 40, height: 21 });
      const bars = [...chart.querySelectorAll("rect")];
      return {
        heights: bars.map((bar) => Number(bar.getAttribute("height"))),
        own: bars.map((bar) => bar.classList.contains("bar-own")),
        marker: Number(chart.querySelector(".marker").getAttribute("x1")),
        title: chart.querySelector("title").textContent,
      };
    """
    assert run(page, "charts", code) == {
        "heights": [20, 10, 0],
        "own": [False, False, True],
        "marker": 35,
        "title": "three bins",
    }


def test_numbers_are_honest_at_their_ends(page: Page) -> None:
    code = "return [0, 0.0001, 0.25, 0.99999, 1].map(lib.percent);"
    assert run(page, "controls", code) == ["0.0 %", "< 0.1 %", "25.0 %", "> 99.9 %", "100.0 %"]
    code = "return [-1.5, 0, -0.001, 2].map((value) => lib.signed(value));"
    assert run(page, "controls", code) == ["−1.50", "0.00", "0.00", "2.00"]


def test_how_rare_a_face_is_follows_from_what_is_expected(page: Page) -> None:
    code = """
      const say = (rare) => lib.rareness({ rare, expected: 1.1, total: 4044 }, 100).verdict;
      return [0, 1, 3, 4].map(say);
    """
    assert run(page, "judgement", code) == ["Common", "Somewhat rare", "Somewhat rare", "Rare"]
