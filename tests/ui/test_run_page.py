"""The screens after a run: what they say, and what is asked and taken home from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ui import run_data as shop
from ui.run_host import Finished
from ui.run_page import expect, in_focus, settled

Open = Callable[..., Any]


def test_the_effect_leads(opened: Open) -> None:
    page = opened()
    assert page.locator("h1").inner_text() == shop.run()["sentence"]
    texts = page.locator(".standings li").all_inner_texts()
    assert ["52" in t and "94" in t and "resolved" in t for t in texts] == [True, False]
    assert "48" in texts[1] and "98" in texts[1] and "should be at least 90" in texts[1]
    order = page.locator("h1, h2").all_inner_texts()
    at = order.index(shop.run()["sentence"])
    assert order[at + 1 :][:3] == ["weekly before and after", "What they have in common", "Removed records, in order"]


def test_doubt_stands_before_the_effect_and_warnings_below_it(opened: Open) -> None:
    view = shop.run(
        doubt="No evidence: the labels do not bear the complaint out.",
        warnings=["the model did not converge"],
        met=False,
        stopped="the budget is spent",
        standings=[shop.standing("2026-11-09", 48, 60, resolved=False, met=False)],
    )
    page = opened(Finished(view))
    found = page.locator(".outcome > *").all_inner_texts()
    assert found[0].startswith("No evidence") and found[1] == view["sentence"]
    assert page.get_by_label("Warnings").inner_text() == "the model did not converge"
    assert "Stopped: the budget is spent" in page.locator(".facts").inner_text()
    assert "not resolved" in page.locator(".standings").inner_text()


def test_a_direction_is_met_without_being_resolved(opened: Open) -> None:
    page = opened(Finished(shop.run(standings=[shop.standing("2026-11-09", 48, 60, resolved=False, met=True)])))
    assert "moved as asked" in page.locator(".standings").inner_text()


@pytest.mark.parametrize(("state", "says"), [("interrupted", "Interrupted"), ("failed", "Failed")])
def test_a_run_that_did_not_end_well_says_so(opened: Open, state: str, says: str) -> None:
    page = opened(Finished(shop.run(state=state)))
    assert says in page.locator(".facts").inner_text()


def test_a_run_that_is_not_there_leads_to_the_others(opened: Open) -> None:
    page = opened(path="/runs/none", ready=".failure")
    assert "there is no run 'none'" in page.locator(".failure").inner_text()
    page.get_by_role("link", name="All runs").click()
    page.get_by_role("heading", name="Runs").wait_for()


def test_a_run_that_fixed_nothing_shows_no_records(opened: Open) -> None:
    view = shop.run(
        sentence="No record was removed because no other record would help.",
        removed=0,
        records=0,
        pattern="",
        patterns=[],
    )
    page = opened(Finished(view, []))
    headings = page.locator("h2").all_inner_texts()
    assert "weekly before and after" in headings and not {
        "Removed records, in order",
        "What they have in common",
    } & set(headings)


def test_the_chart_has_both_states_and_a_table_twin(opened: Open) -> None:
    page = opened()
    page.locator(".chart .mark.marked").first.wait_for()
    names = page.locator(".chart [aria-label*='n before'], .chart [aria-label*='n after'], .chart .mark").evaluate_all(
        "all => all.map(e => e.ariaLabel)"
    )
    assert any("52" in n for n in names) and any("98" in n for n in names) and len(names) == 2 * len(shop.WEEKS)
    assert page.locator(".chart .mark.marked").count() == 4
    page.get_by_text("As a table").click()
    table = page.locator(".changed table")
    assert table.locator("tbody tr").count() == len(shop.WEEKS)
    assert table.locator("tbody tr").last.inner_text().split() == ["2026-11-09", "48", "98", "+50"]


def test_behind_a_point_of_the_picture(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="2026-11-09, n before: 48").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Rows behind").wait_for()
    place = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}
    expect(page.locator(".behind tbody tr")).to_have_count(1)
    assert page.host.of("rows_behind") == [{"place": place, "offset": 0, "limit": 100}]
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="2026-11-09, n before: 48")).to_be_focused()
    assert page.get_by_role("heading", name="Rows behind").count() == 0


def test_rows_that_are_new_or_gone_are_said_to_be(opened: Open) -> None:
    change = shop.change()
    change["before"][0], change["after"][1] = None, None
    page = opened(Finished(shop.run(changes=[{**change, "chart": {**change["chart"], "type": "table"}}])))
    found = page.locator(".changed tbody tr").all_inner_texts()
    assert "was not there" in found[0] and "is gone" in found[1]
    assert page.locator(".chart").count() == 0


def test_only_what_changed(opened: Open) -> None:
    change = shop.change() | {"changed": 2}
    change["after"] = [*change["before"][:-2], *change["after"][-2:]]
    page = opened(Finished(shop.run(changes=[change])))
    page.get_by_text("As a table").click()
    page.get_by_label("Only what changed").check()
    assert page.locator(".changed tbody tr").count() == 2


def test_a_pattern_reads_as_words_then_sql_then_what_it_does(opened: Open) -> None:
    page = opened()
    text = page.locator(".pattern").first.inner_text()
    assert text.startswith("Source is 'import-17' and baskets_left is at least 2.2\nsource = 'import-17'")
    assert "98% of the removed records are like this; 87% of the 260 records like this were too." in text
    assert "48 → 101" in " ".join(text.split())
    assert "Tried by retraining: in expectation 93% nearer to what was asked (foreseen: 95%)." in text
    assert "Foreseen, not tried: in expectation 85% nearer" in page.locator(".pattern").last.inner_text()


def test_the_records_of_a_pattern(opened: Open) -> None:
    page = opened()
    settled(page, 100)
    page.get_by_role("button", name="Show its records").first.click()
    page.get_by_role("button", name="source is 'import-17'").wait_for()
    page.get_by_role("button", name="Keep all 220 that match").wait_for()
    assert page.host.last("records", pattern=0)
    assert in_focus(page) == "Removed records, in order"
    page.get_by_role("button", name="show all records again").click()
    page.get_by_text("1–100 of 230").wait_for()


def test_fixing_by_a_pattern_is_a_run_of_its_own(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Fix by this pattern").first.click()
    page.get_by_role("heading", name="helps too").wait_for()
    assert page.host.of("fix_pattern") == [{"id": "r7", "pattern": 0}]
    assert page.url.endswith("/runs/r8")


def test_a_pattern_becomes_a_check(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="As a data check…").first.click()
    page.keyboard.type("warehouse.churn")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "run-r7.check"
    assert page.host.of("export") == [{"id": "r7", "format": "check", "table": "warehouse.churn", "pattern": 0}]
    page.get_by_text("check for warehouse.churn").wait_for()


def test_side_effects_are_asked_for_on_demand(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="What else changes?").wait_for()
    assert not page.host.of("side_effects")
    page.get_by_role("button", name="What else changes?").click()
    page.get_by_text("7 of 7 other cells changed.").wait_for()
    page.get_by_role("button", name="Would fewer records do?").click()
    page.get_by_text("no prefix is known to resolve").wait_for()


def test_a_run_of_an_earlier_session_is_run_again_to_ask(opened: Open) -> None:
    page = opened(Finished(shop.run(live=False)))
    page.get_by_text("from an earlier session").wait_for()
    assert page.get_by_role("button", name="What else changes?").count() == 0
    assert page.get_by_role("button", name="Fix by this pattern").count() == 0
    assert page.get_by_role("button", name="Run again").count() == 1


@pytest.mark.parametrize(
    ("name", "format"), [("CSV", "csv"), ("Parquet", "parquet"), ("HTML", "html"), ("text", "txt"), ("JSON", "json")]
)
def test_exports(opened: Open, name: str, format: str) -> None:
    page = opened()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name=name).click()
    assert saved.value.suggested_filename == f"run-r7.{format}"
    assert in_focus(page).startswith("Export")


def test_the_script_is_written_for_a_table(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Export").click()
    page.get_by_label("Fixes as SQL for the table").fill("users")
    with page.expect_download():
        page.get_by_role("button", name="Save script").click()
    assert page.host.of("export")[-1]["table"] == "users"
    page.get_by_text("sql for users").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_label("Fixes as SQL for the table").count() == 0 and in_focus(page).startswith("Export")


def test_no_run_yet_says_what_to_do(opened: Open) -> None:
    finished = Finished()
    finished.runs = {}
    page = opened(finished, "/runs")
    page.get_by_role("link", name="Go to the queries").wait_for()


def test_runs_are_paged(opened: Open) -> None:
    finished = Finished()
    finished.runs = {f"r{i}": shop.run(id=f"r{i}", sentence=f"Run number {i}.") for i in range(1701)}
    page = opened(finished, "/runs", ready=".run-list")
    assert page.locator(".run-list > li").count() == 100
    assert page.locator(".run-list h2").first.inner_text() == "Run number 1700."
    page.get_by_role("button", name="Next").click()
    page.get_by_role("link", name="Run number 1600.").wait_for()
