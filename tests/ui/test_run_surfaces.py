"""The screens after a run as a file and in a notebook; hostile words; what axe-core finds in every state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rain_debug.view.page import saved_page
from ui import run_data as shop
from ui.run_host import Finished
from ui.run_page import expect, rows, settled

Open = Callable[..., Any]


def saved(n: int = 230, **changed: Any) -> str:
    """The HTML of a saved report."""
    page = {
        "columns": shop.COLUMNS,
        "rows": shop.records(min(n, 1000), hostile=True),
        "offset": 0,
        "total": n,
        "kept": 0,
    }
    note = "The first 1,000 of 2,000 records are shown." if n > 1000 else ""
    return saved_page({"run": shop.run(**changed), "records": page, "effects": shop.EFFECTS, "rows_left_out": note},
                      title="Shop", plain="<p>plain</p>")  # fmt: skip


def test_a_saved_report_is_read_and_searched_but_asks_nothing(page: Any) -> None:
    page.set_content(saved(2000))
    page.get_by_role("heading", name="Removing 230").wait_for()
    settled(page, 1000)
    page.get_by_text("The first 1,000 of 2,000 records are shown.").wait_for()
    page.get_by_text("7 of 7 other cells changed.").wait_for()
    for name in ("Run again", "Export", "Fix by this pattern", "Show its records", "What else changes?", "Keep record"):
        assert page.get_by_role("button", name=name).count() == 0, name
    assert page.get_by_role("link").count() == 0
    page.get_by_role("searchbox", name="Search").fill("relabel")
    settled(page, 142)


def test_a_run_is_printed_without_what_is_pressed(opened: Open) -> None:
    page = opened()
    settled(page, 100)
    page.get_by_role("button", name="Keep record 2412").click()
    expect(page.locator(".kept-bar")).to_be_visible()
    page.emulate_media(media="print")
    assert rows(page).last.is_visible() and page.locator(".changed tbody tr").last.is_visible()
    box = page.locator(".records .table-scroll").evaluate("e => [e.scrollHeight, e.clientHeight]")
    assert box[0] <= box[1] + 1, "a list is not scrolled on paper"
    for pressed in (".kept-bar", ".filter", ".run-top", ".pattern .actions", ".afterwards"):
        assert page.locator(pressed).count() and not page.locator(pressed).first.is_visible(), pressed


def test_a_notebook_goes_from_screen_to_screen_in_memory(opened: Open) -> None:
    page = opened()
    page.evaluate("""async () => {
        const { mount } = await import('/static/rain.js');
        const post = (op, body) => fetch('/api/' + op, { method: 'POST', body });
        const call = async (op, request) => (await post(op, JSON.stringify(request))).json();
        const root = document.body.appendChild(document.createElement('div'));
        document.querySelector('#rain-view').remove();
        root.id = 'rain';
        mount(root, { mode: 'notebook', call, seen: (run) => { window.seen = run.id; } }, { start: '/runs/r7' });
    }""")
    page.get_by_role("heading", name="Removing 230").wait_for()
    address = page.url
    page.get_by_role("button", name="2413", exact=True).click()
    page.get_by_role("heading", name="Record 2413").wait_for()
    page.get_by_role("button", name="Back").click()
    page.get_by_role("heading", name="Removing 230").wait_for()
    assert page.url == address and page.evaluate("() => window.seen") == "r7"


def hostile() -> Finished:
    """A run all of whose words are markup."""
    bad = shop.HOSTILE
    change = shop.change() | {"query": bad, "sql": bad}
    pattern = shop.pattern(0, bad, bad, 3, 1.0, 1.0)
    standing = {**shop.standing("2026-11-09", bad, bad), "text": bad, "query": bad}
    words = {"sentence": bad, "doubt": bad, "pattern": bad, "warnings": [bad], "complaints": [bad]}
    view = shop.run(**words, changes=[change], patterns=[pattern], standings=[standing])
    return Finished(view, shop.records(50, hostile=True))


def test_hostile_words_are_words(opened: Open) -> None:
    page = opened(hostile())
    settled(page, 50)
    assert page.locator("h1").inner_text() == shop.HOSTILE
    assert shop.HOSTILE in rows(page).first.inner_text()
    assert page.locator("img, main script").count() == 0
    page.goto(page.host.url + "/runs")
    page.locator(".run-list").wait_for()
    assert page.locator("img, main script").count() == 0


def test_long_text_is_folded(opened: Open) -> None:
    page = opened(hostile())
    settled(page, 50)
    cell = rows(page).nth(1)
    assert len(cell.inner_text()) < 400
    cell.get_by_role("button", name="more").click()
    assert shop.LONG.strip() in cell.inner_text()


def everything(page: Any) -> None:
    """Open what can be opened on a run's screen."""
    for name in ("As a table", "The query", "How it went"):
        page.get_by_text(name).first.click()
    page.get_by_role("button", name="As a data check…").first.click()
    page.get_by_role("button", name="What else changes?").click()
    page.get_by_role("button", name="Would fewer records do?").click()
    page.get_by_role("button", name="Keep record 2412").click()
    page.get_by_role("searchbox", name="Search").fill("basic")
    page.get_by_text("no prefix is known").wait_for()
    page.get_by_role("button", name="Keep all").wait_for()
    page.get_by_role("button", name="Export").click()
    assert page.locator(".export-list").bounding_box()["x"] >= 0, "the list of exports is cut off"


STATES: dict[str, tuple[Callable[[], Finished], str, Callable[[Any], None] | None]] = {
    "run": (Finished, "/runs/r7", None),
    "opened": (Finished, "/runs/r7", everything),
    "doubt": (lambda: Finished(shop.run(doubt="No evidence.", warnings=["one", "two"], met=False)), "/runs/r7", None),
    "hostile": (hostile, "/runs/r7", None),
    "missing": (Finished, "/runs/none", None),
    "runs": (Finished, "/runs", None),
    "record": (Finished, "/records/churn/2412", None),
}


@pytest.mark.parametrize(("light", "width"), [("light", 1280), ("dark", 390)])
def test_nothing_for_axe_to_find(opened: Open, page: Any, violations: Any, light: str, width: int) -> None:
    page.emulate_media(color_scheme=light)
    page.set_viewport_size({"width": width, "height": 844})
    found = {}
    for name, (make, path, act) in STATES.items():
        opened(make(), path, ready="main > *")
        page.wait_for_load_state("networkidle")
        if act:
            act(page)
        found[name] = violations(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (
            f"{name} is wider than the screen"
        )
    page.goto("about:blank")
    page.set_content(saved())
    settled(page, 230)
    found["saved"] = violations(page)
    assert not any(found.values()), json.dumps(found, indent=1)
