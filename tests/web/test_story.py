"""The whole story on a served project, in a real browser: with the mouse, and by the keyboard alone.

Open, pick the point that is wrong, complain, watch, read the answer, keep a record, run again, take the answer home,
and come back to the first run in the history.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect
RUN = re.compile(r"/runs/[\w-]+$")


@dataclass(frozen=True)
class Told:
    """A project of the examples: a point of its query that is complained about, and what is said of it."""

    file: str
    query: str
    point: str
    claim: str
    value: str


SHOP = Told("shop.toml", "weekly", "2026-11-09, n: 48", "At least", "90")
ADULT = Told("adult.toml", "by_gender", "Male, high: ", "At most", "0.3")
STORIES = pytest.mark.parametrize("told", [SHOP, ADULT], ids=["shop", "adult"])


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Told], str]]:
    """Where `rain serve` serves a project of the examples, with a folder of runs of its own."""
    started: dict[str, tuple[subprocess.Popen[str], str]] = {}

    def serve(told: Told) -> str:
        if told is ADULT and not (Path(os.environ.get("RAIN_DATA", "none")) / "adult").is_dir():
            pytest.skip("adult is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")
        if told.file not in started:
            runs = tmp_path_factory.mktemp("runs")
            words = ["serve", str(root / "examples" / told.file), "--port", "0", "--no-browser", "--runs", str(runs)]
            process = subprocess.Popen(
                [sys.executable, "-m", "rain_debug", *words],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env={**os.environ, "PYTHONPATH": str(root / "src")},
            )  # fmt: skip
            assert process.stdout is not None
            said = ""
            while not (found := re.search(r"http://\S+", said)):
                line = process.stdout.readline()
                assert line, f"rain serve ended: {said}"
                said += line
            started[told.file] = process, found[0]
        return started[told.file][1]

    yield serve
    for process, _ in started.values():
        process.terminate()
        process.wait(20)


def settled(page: Any) -> None:
    """The run's screen, with its records."""
    page.wait_for_url(RUN, timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("training records", timeout=20_000)
    expect(page.locator(".records tbody tr").first).to_be_visible()


def fine(page: Any, violations: Any) -> None:
    """No state breaks a rule of accessibility."""
    assert violations(page) == []


@STORIES
def test_with_the_mouse(told: Told, address: Callable[[Told], str], page: Any, violations: Any) -> None:
    page.goto(address(told))
    point = page.get_by_role("button", name=re.compile(f"^{re.escape(told.point)}"))
    expect(point).to_be_visible()
    fine(page, violations)
    for cross in page.get_by_role("button", name=re.compile("^Remove: ")).all()[::-1]:  # what the file complains about
        cross.click()
    box = point.bounding_box()  # where a hand would click: on the chart, not on an element of ours
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    form = page.get_by_role("form")
    form.get_by_role("radio", name=told.claim).check()
    form.get_by_role("spinbutton", name=re.compile(told.claim)).fill(told.value)
    fine(page, violations)
    form.get_by_role("button", name="Add complaint").click()
    suspects = page.get_by_role("list", name="First suspects")
    expect(suspects.get_by_role("listitem")).to_have_count(5)
    looked_at = suspects.get_by_role("link").first.inner_text()
    fine(page, violations)
    page.get_by_role("button", name="Find the records behind it").click()
    expect(page.get_by_role("progressbar").first).to_be_visible()
    settled(page)
    fine(page, violations)
    first, address_of_first = page.get_by_role("heading", level=1).inner_text(), page.url
    row = page.locator(".records tbody tr").first
    expect(row.get_by_role("link", name=looked_at, exact=True)).to_be_visible()
    key = row.get_by_role("link").first.inner_text()
    row.get_by_role("button", name="Keep").click()
    expect(page.locator(".kept-bar")).to_contain_text("1 record kept")
    fine(page, violations)
    page.get_by_role("button", name="Run again without fixing it").click()
    page.wait_for_url(lambda url: bool(RUN.search(url)) and url != address_of_first, timeout=60_000)
    settled(page)
    keys = page.locator(".records tbody tr td:nth-child(3)").all_inner_texts()
    assert keys and key not in keys, "the kept record was fixed again"
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as taken:
        page.get_by_role("button", name=re.compile("Records as CSV")).click()
    lines = taken.value.path().read_text().splitlines()
    assert len(lines) > len(keys) / 2 and lines[0].startswith("rank,"), lines[:2]
    with page.expect_download() as report:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("button", name=re.compile("Report as HTML")).click()
    assert b"default-src 'none'" in report.value.path().read_bytes()
    page.get_by_role("link", name="Runs").first.click()
    expect(page.get_by_role("link", name=re.compile("^(Removing|Fixing)"))).to_have_count(2)
    fine(page, violations)
    page.get_by_role("link", name=first).last.click()  # the newest come first
    page.wait_for_url(address_of_first)
    settled(page)
    expect(page.locator(".kept-bar")).to_contain_text("1 record kept")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Any, name: str, most: int = 60) -> None:
    """Press Tab until what has the focus is called so."""
    seen = []
    for _ in range(most):
        here = page.evaluate(
            """() => { const e = document.querySelector('#rain-view').shadowRoot.activeElement;
                       return e ? (e.getAttribute('aria-label') || e.innerText || '').trim() : ''; }"""
        )
        if re.match(name, here):
            return
        seen.append(here)
        press(page, "Tab")
    raise AssertionError(f"{name!r} is not reached by Tab: {seen}")


@STORIES
def test_by_the_keyboard_alone(told: Told, address: Callable[[Told], str], page: Any) -> None:
    page.goto(address(told))
    expect(page.get_by_role("button", name=re.compile(f"^{re.escape(told.point)}"))).to_be_visible()
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("Complain about it")
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    while page.get_by_role("button", name=re.compile("^Remove: ")).count():
        press(page, "c", "Enter")
        page.wait_for_timeout(50)
    tab_to(page, r".*, \w+: ")
    press(page, "End")
    for _ in range(3):
        if page.evaluate("document.querySelector('#rain-view').shadowRoot.activeElement.getAttribute('aria-label')"
                         ).startswith(told.point):  # fmt: skip
            break
        press(page, "ArrowLeft")
    press(page, "Enter")
    expect(page.get_by_role("form")).to_be_visible()
    for _ in range(8):
        if page.get_by_role("radio", name=told.claim).is_checked():
            break
        press(page, "ArrowDown")
    press(page, "Tab")
    page.keyboard.type(told.value)
    press(page, "Control+Enter")
    expect(page.get_by_role("button", name="Find the records behind it")).to_be_visible()
    press(page, "Control+Enter")
    settled(page)
    tab_to(page, "Keep")
    press(page, "k")
    expect(page.locator(".kept-bar")).to_contain_text("1 record kept")
    first = page.url
    tab_to(page, "Run again without fixing it", 400)
    press(page, "Enter")
    page.wait_for_url(lambda url: bool(RUN.search(url)) and url != first, timeout=60_000)
    settled(page)
    tab_to(page, "Export")
    press(page, "Enter")
    with page.expect_download() as taken:
        press(page, "Enter")
    assert taken.value.path().stat().st_size > 100
    tab_to(page, "Runs", 400)
    press(page, "Enter")
    expect(page.get_by_role("link", name=re.compile("^(Removing|Fixing)")).first).to_be_visible()
