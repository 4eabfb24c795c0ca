"""A face in the studio, in a real browser, and the clock beside it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evenface_core.errors import EvenfaceError
from playwright.sync_api import Page, sync_playwright

_STOP_SECONDS = 30.0
_SLIDER = "#explore .dim input"
_DRAG_EVENTS = 60

# The clock runs in the page. It looks at the pixels in every frame: when they are others, the new
# face is on the screen at the latest when the next frame begins.
_CLOCK = """() => {
  const canvas = document.querySelector("#explore .frame canvas");
  const small = new OffscreenCanvas(32, 32).getContext("2d", { willReadFrequently: true });
  const look = () => {
    small.drawImage(canvas, 0, 0, 32, 32);
    return small.getImageData(0, 0, 32, 32).data.join();
  };
  const clock = { since: 0, events: 0, faces: 0, seen: 0, event: 0 };
  let shown = look();
  addEventListener("input", (event) => {
    clock.events += 1;
    clock.event = event.timeStamp;
    if (clock.since === 0) clock.since = event.timeStamp;
  }, true);
  const frame = () => {
    const now = look();
    if (now !== shown) {
      shown = now;
      requestAnimationFrame(() => {
        clock.faces += 1;
        clock.seen = performance.now();
      });
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.clock = clock;
}"""
_RESET = "() => Object.assign(clock, { since: 0, events: 0, faces: 0, seen: 0 })"


class NoBrowser(EvenfaceError):
    """There is no Chromium, or no studio to look at."""


@dataclass(frozen=True)
class Drag:
    """What came of one drag over a slider.

    Attributes:
        events: Of the slider.
        requests: For faces.
        faces: That were on the screen.
        last_ms: From the last event to the last face.
    """

    events: int
    requests: int
    faces: int
    last_ms: float


class Face:
    """A face whose first slider can be moved."""

    def __init__(self, page: Page, browser: str) -> None:
        self._page = page
        self._forward = True
        self._requests = 0
        self.browser = browser
        page.evaluate(_CLOCK)
        page.on("request", self._count)

    def step(self) -> float:
        """Move the slider by a key; milliseconds until the new face is on the screen."""
        self._page.evaluate(_RESET)
        self._page.focus(_SLIDER)
        self._page.keyboard.press("PageUp" if self._forward else "PageDown")
        self._forward = not self._forward
        self._page.wait_for_function("() => clock.seen > 0")
        taken: float = self._page.evaluate("() => clock.seen - clock.since")
        return taken

    def drag(self) -> Drag:
        """Move the slider by mouse over half of its length."""
        page = self._page
        page.evaluate(_RESET)
        self._requests = 0
        box = page.locator(_SLIDER).first.bounding_box()
        if box is None:
            raise NoBrowser("the slider is not on the page")
        y, left, right = box["y"] + box["height"] / 2, box["x"], box["x"] + box["width"]
        ends = (0.3, 0.8) if self._forward else (0.8, 0.3)
        self._forward = not self._forward
        start, end = (left + share * (right - left) for share in ends)
        page.mouse.move(start, y)
        page.mouse.down()
        page.mouse.move(end, y, steps=_DRAG_EVENTS)
        page.mouse.up()
        page.wait_for_load_state("networkidle")
        page.wait_for_function("() => clock.seen > clock.event")
        events, faces, last = page.evaluate(
            "() => [clock.events, clock.faces, clock.seen - clock.event]"
        )
        return Drag(events, self._requests, faces, last)

    def _count(self, request: object) -> None:
        self._requests += "/api/explore/decode" in str(getattr(request, "url", ""))


@contextmanager
def face(server: str) -> Iterator[Face]:
    """Open the studio over a server, at a sampled face.

    Raises:
        NoBrowser: Chromium or the studio is missing.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise NoBrowser("no chromium on the PATH; Debian's package 'chromium' has it")
    command = [sys.executable, "-m", "evenface_studio", "--server", server, "--port", "0"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = studio.stdout.readline() if studio.stdout else ""
        found = re.search(r"http://\S+/", line)
        if found is None:
            raise NoBrowser("the studio did not start")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(found[0])
            page.get_by_role("button", name="Sampled face 2").click()
            page.wait_for_function(
                "() => document.querySelector('#explore .frame canvas')?.width > 1"
            )
            page.locator(_SLIDER).first.scroll_into_view_if_needed()
            yield Face(page, f"Chromium {browser.version}")
            browser.close()
    finally:
        studio.terminate()
        studio.wait(_STOP_SECONDS)
