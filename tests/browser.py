"""Fixtures: one Chromium for all browser tests of a worker, a page that fails where it complained, axe-core."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGS = ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"]
"""Names that end in .test lead to this machine, as those of other sites that try to get in."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium: `$RAIN_CHROMIUM`, one on the path, or Playwright's own; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    path = os.environ.get("RAIN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=path, args=ARGS)
        except playwright.Error as error:
            pytest.skip(f"browser tests need a Chromium ($RAIN_CHROMIUM names one): {error}")
        yield browser
        browser.close()


class Watched:
    """What a page logged and asked for; `quiet()` fails where it was an error or left this machine."""

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.away: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", self._request)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:")):
            self.away.append(request.url)

    def quiet(self) -> None:
        assert not self.away, f"requests off the machine: {self.away}"
        # A refused operation is answered with 4xx, which the browser logs and the page shows.
        bad = [e for e in self.errors if "status of 4" not in e]
        assert not bad, f"the browser complained: {bad}"


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh page, 1280 × 800, light; checked at its end for errors, policy violations and requests elsewhere."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(10_000)
    watched = Watched(page)
    yield page
    context.close()
    watched.quiet()


@pytest.fixture(scope="session")
def axe(root: Any) -> str:
    """The accessibility checker's source; skipped where the page's packages are not installed (`make ui`)."""
    path = root / "ui" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip(f"axe-core is not installed: make ui ({path})")
    return str(path.read_text())


@pytest.fixture
def violations(axe: str) -> Any:
    """`violations(page)`: what axe-core finds wrong in a page, one line each; injected past the page's policy.

    `violations(page, "ours")` leaves out what has to do with no element inside one of that selector: a notebook's own.
    """

    def check(page: Any, within: str = "html") -> list[str]:
        client = page.context.new_cdp_session(page)
        client.send("Runtime.evaluate", {"expression": axe})
        return list(page.evaluate(AXE, within))

    return check


AXE = """async (within) => {
    const inside = (element) => element && (element.closest(within) || inside(element.getRootNode().host));
    const { violations } = await axe.run(document, { resultTypes: ["violations"], elementRef: true });
    const about = (node) => [node.element, ...[...node.any, ...node.all, ...node.none].flatMap((check) =>
        (check.relatedNodes ?? []).map((related) => related.element))];
    return violations.flatMap(({ id, nodes }) =>
        nodes.filter((node) => about(node).some(inside)).map((node) => `${id}: ${node.html.slice(0, 200)}`));
}"""
