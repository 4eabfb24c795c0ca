"""The studio as people meet it: a real server, a real studio, a real Chromium."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from support.patience import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = 1440, 375

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH; Debian's package 'chromium' has it"
)

_HEIGHT = 900
_LOUD = {"error", "warning"}
_READ_BY_TESTS = "Canvas2D: Multiple readback"
_FAILED_LOAD = "Failed to load resource"
_SERIOUS = {"serious", "critical"}
_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    # Nothing but this machine has an address.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)


@dataclass
class StudioProcess:
    """`evenface-studio` in a process of its own."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def host(self) -> str:
        """Its host and port."""
        return urlsplit(self.url).netloc


@contextmanager
def studio_process(server: str, *options: str, port: int = 0) -> Iterator[StudioProcess]:
    """Start the command over a server; ended with SIGTERM, as people end it.

    Args:
        server: The server's address.
        options: Further ones.
        port: To listen on; 0 for any that is free.
    """
    arguments = ["--server", server, "--port", str(port), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "evenface_studio", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+/", line)
        assert found, f"no address in {line!r}"
        yield StudioProcess(process, found[0])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; for the tests of a module, as an event loop runs meanwhile."""
    expect.set_options(timeout=PATIENCE * 1000 / 3)  # a machine that is busy is no failure
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, and what it should not have done.

    Attributes:
        page: Playwright's page.
        complaints: Errors and warnings on its console, and errors that nothing caught.
        elsewhere: URLs that it asked for which are not the studio's.
        failures_expected: Whether replies that are errors may be on the console, as Chromium
            puts each there.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    failures_expected: bool = False

    def check(self) -> None:
        """Fail where the page did what it should not."""
        expected = (_READ_BY_TESTS, *((_FAILED_LOAD,) if self.failures_expected else ()))
        assert [said for said in self.complaints if not said.startswith(expected)] == []
        assert self.elsewhere == []


@contextmanager
def visiting(
    browser: Browser,
    studio: StudioProcess,
    tab: str = "",
    *,
    width: int = WIDE,
    scheme: str = "light",
    **options: Any,  # noqa: ANN401 - as Playwright's new_context has them
) -> Iterator[Visit]:
    """Open the studio at a tab, with a fresh profile; check the visit at its end.

    Args:
        browser: That of `chromium`.
        studio: To visit.
        tab: Its name in the address; "" for none.
        width: Of the window, in pixels.
        scheme: "light" or "dark".
        options: Further ones of the browser's context.
    """
    context = browser.new_context(
        viewport={"width": width, "height": _HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(PATIENCE * 1000 / 3)
    visit = Visit(context.new_page())

    def hear(message: ConsoleMessage) -> None:
        if message.type in _LOUD:
            visit.complaints.append(message.text)

    def see(request: Request) -> None:
        there = urlsplit(request.url)
        if there.scheme in {"http", "https", "ws", "wss"} and there.netloc != studio.host:
            visit.elsewhere.append(request.url)

    visit.page.on("console", hear)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    context.on("request", see)
    visit.page.goto(f"{studio.url}#{tab}" if tab else studio.url)
    try:
        yield visit
        visit.check()
    finally:
        context.close()


def serious_findings(page: Page) -> list[str]:
    """What axe finds that keeps people from using the page, as it is now."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


def tab_to(page: Page, target: Locator, *, most: int = 60) -> None:
    """Press Tab until something has the focus, which must be seen then."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            break
    expect(target).to_be_focused()
    expect(target).to_be_in_viewport()
    assert target.evaluate("(element) => getComputedStyle(element).outlineStyle") != "none"


def is_seen(target: Locator) -> bool:
    """Whether nothing lies over the corners of something, nor cuts them off."""
    target.scroll_into_view_if_needed()
    seen: bool = target.evaluate(
        """(element) => {
          const { left, right, top, bottom } = element.getBoundingClientRect();
          return [[left, top], [right, top], [left, bottom], [right, bottom]].every(([x, y]) => {
            const inner = [x + (x === left ? 12 : -12), y + (y === top ? 12 : -12)];
            return element.contains(document.elementFromPoint(...inner));
          });
        }"""
    )
    return seen


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window."""
    wider: bool = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    return wider
