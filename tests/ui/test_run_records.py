"""The ranked records of a run: paged, searched, kept; by mouse and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ui import run_data as shop
from ui.run_host import Finished
from ui.run_page import expect, in_focus, kept, rows, settled

Open = Callable[..., Any]


def test_a_hundred_thousand_records_are_a_page_at_a_time(opened: Open) -> None:
    page = opened(Finished(shop.run(records=100_000), shop.records(100_000)))
    settled(page, 100)
    page.get_by_role("button", name="Last page").click()
    page.get_by_text("99,901–100,000 of 100,000").wait_for()
    assert rows(page).count() == 100
    page.get_by_role("button", name="First page").click()
    page.get_by_text("1–100 of 100,000").wait_for()
    assert all(each["limit"] == 100 for each in page.host.of("records"))


def test_sorting_and_searching_ask_the_host(opened: Open) -> None:
    page = opened()
    settled(page, 100)
    page.get_by_role("button", name="tenure").click()
    page.get_by_role("button", name="tenure").click()
    page.locator("th[aria-sort=descending]").wait_for()
    page.locator(".records:has(.table[aria-busy=false])").wait_for()
    assert page.host.last("records", sort="tenure", down=True)
    page.get_by_role("searchbox", name="Search").fill("2641")
    settled(page, 1)
    assert "2641" in rows(page).inner_text()
    page.get_by_role("searchbox", name="Search").fill("nothing like it")
    page.get_by_text("No record matches.").wait_for()


def test_k_keeps_and_moves_on_over_the_end_of_the_page(opened: Open) -> None:
    page = opened()
    settled(page, 100)
    page.get_by_role("button", name="Keep record 2510").focus()
    page.keyboard.press("k")
    assert in_focus(page).endswith("record 2511")
    page.keyboard.press("k")
    page.get_by_text("101–200 of 230").wait_for()
    page.get_by_role("button", name="Keep record 2512").wait_for()
    expect(page.get_by_role("button", name="Keep record 2512")).to_be_focused()
    page.keyboard.press("k")
    expect(kept(page)).to_have_text("3 records kept of 230")
    page.get_by_role("button", name="First page").click()
    page.get_by_text("1–100 of 230").wait_for()
    assert page.get_by_role("button", name="Keep record 2510", pressed=True).count() == 1
    assert page.get_by_role("button", name="Keep record 2412", pressed=False).count() == 1


def test_a_kept_record_is_taken_back(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Keep record 2412").click()
    expect(kept(page)).to_have_text("1 record kept of 230")
    page.get_by_role("button", name="Keep record 2412").click()
    expect(kept(page)).to_have_count(0)
    assert [each["keep"] for each in page.host.of("keep")] == [True, False]


def test_a_mark_that_is_refused_is_taken_back(opened: Open) -> None:
    page = opened()
    del page.host.answers["keep"]
    page.get_by_role("button", name="Keep record 2412").click()
    page.get_by_text("no such operation: keep").wait_for()
    assert page.get_by_role("button", name="Keep record 2412", pressed=False).count() == 1


def test_all_that_match_are_kept_in_one_action(opened: Open) -> None:
    page = opened()
    settled(page, 100)
    assert page.get_by_role("button", name="that match").count() == 0
    page.get_by_role("searchbox", name="Search").fill("relabel")
    page.get_by_role("button", name="Keep all 32 that match").click()
    expect(kept(page)).to_have_text("32 records kept of 230")
    assert page.host.of("keep") == [{"run": "r7", "text": "relabel", "pattern": None, "kept": None, "keep": True}]
    with page.expect_response("**/records"):
        page.get_by_role("button", name="Show them").click()
    settled(page, 32)
    assert page.host.last("records", kept=True)
    page.get_by_role("button", name="Keep none of them").click()
    page.get_by_text("No record matches.").wait_for()


def test_the_next_run_spares_what_was_kept(opened: Open) -> None:
    finished = Finished()
    finished.pause, finished.rounds = 0.4, 4
    page = opened(finished)
    page.get_by_role("button", name="Keep record 2412").click()
    page.get_by_role("button", name="Run again without fixing it").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".going")).to_contain_text(re.compile("Round [1-4]"))  # whichever is on when one looks
    page.get_by_role("heading", name="helps too").wait_for()
    assert page.host.of("debug") == [{**shop.run()["request"], "keep_of": "r7"}]
    page.go_back()
    page.get_by_role("heading", name="Removing 230").wait_for()
    page.get_by_role("link", name="Runs").last.click()
    page.get_by_role("heading", name="Runs").wait_for()
    assert [t[:12] for t in page.locator(".run-list h2").all_inner_texts()] == ["Removing 200", "Removing 230"]


def test_a_run_that_fails_says_why_and_leaves_this_one(opened: Open) -> None:
    finished = Finished()
    finished.broken = "the database is gone"
    page = opened(finished)
    page.get_by_role("button", name="Run again").click()
    page.get_by_text("the database is gone").wait_for()
    assert page.locator("h1").inner_text().startswith("Removing 230")


def test_the_way_back_from_a_record_finds_the_same_page(opened: Open) -> None:
    page = opened()
    page.get_by_role("searchbox", name="Search").fill("team")
    settled(page, 58)
    page.get_by_role("link", name="2416").click()
    page.get_by_role("heading", name="Record 2416").wait_for()
    assert page.url.endswith("/records/churn/2416")
    page.get_by_role("button", name="Back").click()
    settled(page, 58)
    assert page.get_by_role("searchbox", name="Search").input_value() == "team"


def test_a_record_shows_what_it_says_and_moves(opened: Open) -> None:
    page = opened(path="/records/churn/2412")
    page.get_by_text("Records that look like it").wait_for()
    assert page.host.of("record") == [{"model": "churn", "key": "2412"}]
    text = page.locator(".record").inner_text()
    assert all(each in text for each in ("import-17", "n where week = '2026-11-09'", "The first 1 row of 412."))


def test_the_whole_way_by_keyboard(opened: Open) -> None:
    page = opened(path="/runs", ready=".run-list")

    def tab_to(words: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            now = in_focus(page)
            if words in now and len(now) < 300:
                return
        raise AssertionError(f"Tab does not come to {words!r}")

    tab_to("Removing 230")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Removed records").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("basic")
    page.get_by_text("1–100 of 172").wait_for()
    tab_to("Keep all 172")
    tab_to("record 2413")
    page.keyboard.press("k")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert in_focus(page) == "2415"
    page.keyboard.press("k")
    expect(kept(page)).to_have_text("2 records kept of 230")
    tab_to("Run again without fixing them")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="helps too").wait_for()
    page.keyboard.press("?")
    page.get_by_text("Keep the record, or no longer").wait_for()
    page.keyboard.press("Escape")
    tab_to("Export")
    page.keyboard.press("Enter")
    assert in_focus(page).startswith("Records as CSV")
