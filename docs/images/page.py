"""Pictures of the page for the README and the docs: `python docs/images/page.py`, with playwright and a Chromium.

The shop is served as `rain serve examples/shop.toml` serves it: its query with the form open, light, and the screen of
its run, light and dark.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    command = [sys.executable, "-m", "rain_debug", "serve", str(HERE.parent.parent / "examples" / "shop.toml")]
    server = subprocess.Popen([*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
        path = os.environ.get("RAIN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(
                viewport={"width": 1280, "height": 760}, color_scheme="light", reduced_motion="reduce"
            )
            page.goto(address)
            for cross in page.get_by_role("button", name=re.compile("^Remove: ")).all()[::-1]:
                cross.click()
            for point, value in (("2026-11-02, n: ", "95"), ("2026-11-09, n: ", "95")):
                box = page.get_by_role("button", name=re.compile(f"^{point}")).bounding_box()
                assert box is not None
                page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
                form = page.get_by_role("form")
                form.get_by_role("radio", name="At least").check()
                form.get_by_role("spinbutton", name=re.compile("At least")).fill(value)
                if point.startswith("2026-11-09"):
                    page.wait_for_timeout(500)
                    page.screenshot(path=HERE / "page-query.png")
                form.get_by_role("button", name="Add complaint").click()
            page.get_by_role("button", name="Find the records behind them").click()
            page.wait_for_url(re.compile(r"/runs/[\w-]+$"))
            page.locator(".records tbody tr").first.wait_for()
            page.wait_for_timeout(1500)
            page.set_viewport_size({"width": 1280, "height": 1150})
            page.screenshot(path=HERE / "page-run.png")
            page.emulate_media(color_scheme="dark")
            page.wait_for_timeout(800)
            page.screenshot(path=HERE / "page-run-dark.png")
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
