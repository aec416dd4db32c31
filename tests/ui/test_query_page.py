"""The screen of a query in a real browser: every place is picked and complained about, by pointer and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from ui import shop_host
from ui.host import Host, Refused

LOW = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}


@pytest.fixture
def host() -> Iterator[Host]:
    made = shop_host.make()
    yield made
    made.close()


@pytest.fixture
def page(host: Host, page: Any) -> Any:
    """Closed before the host is, so that no request of it is left without an answer."""
    return page


def opened(page: Any, host: Host, query: str = "weekly") -> Any:
    page.goto(f"{host.url}/q/{quote(query)}")
    page.wait_for_selector(".mark, .table, .figure")
    return page


def point(page: Any, words: str) -> Any:
    return page.get_by_role("button", name=re.compile(words))


def add(page: Any, claim: str, value: str | None = None) -> None:
    form = page.get_by_role("form", name="Complaint")
    form.get_by_role("radio", name=claim, exact=True).check()
    if value is not None:
        form.locator(".claim.on input[type=number]").fill(value)
    form.get_by_role("button", name="Add complaint").click()
    form.wait_for(state="detached")


def complaints(host: Host) -> Any:
    return host.of("debug")[-1]["complaints"]


def run(page: Any, host: Host) -> Any:
    page.get_by_role("button", name=re.compile("Find the records")).click()
    page.wait_for_url("**/runs/7")
    return complaints(host)


def focused(page: Any) -> str:
    return str(page.evaluate("() => { const e = document.querySelector('#rain-view').shadowRoot.activeElement;"
                             " return e ? (e.getAttribute('aria-label') ?? e.textContent) : '' }"))  # fmt: skip


def test_from_the_low_point_to_the_run(page: Any, host: Host) -> None:
    opened(page, host)
    for week in ("2026-11-09", "2026-11-02"):
        point(page, f"{week}, n:").click()
        add(page, "At least", "90")
    assert page.locator(".tray > ul > li").count() == 2
    expected = [
        {"place": LOW | {"where": {"week": w}}, "claim": "at_least", "value": 90} for w in ("2026-11-09", "2026-11-02")
    ]
    assert run(page, host) == expected
    page.go_back()
    page.locator(".tray > ul > li").nth(1).wait_for()  # they stay, for another run


def test_the_same_by_keyboard_alone(page: Any, host: Host) -> None:
    opened(page, host)
    for _ in range(40):
        page.keyboard.press("Tab")
        if "2026-09-07" in focused(page):
            break
    page.keyboard.press("End")
    assert "2026-11-09, n: 48" in focused(page)
    page.keyboard.press("Enter")
    page.wait_for_selector(".complaint")
    for _ in range(3):
        page.keyboard.press("ArrowDown")  # too low, too high, should be, at least
    page.keyboard.press("Tab")
    page.keyboard.type("90")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tray > ul > li")
    assert "2026-11-09, n: 48" in focused(page)  # back in the chart: the next point is one arrow away
    page.keyboard.press("ArrowLeft")
    assert "2026-11-02, n: 52" in focused(page)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/7")
    assert complaints(host) == [{"place": LOW, "claim": "at_least", "value": 90}]


def test_a_table_by_keyboard(page: Any, host: Host) -> None:
    opened(page, host, "by region")
    page.keyboard.press("t")
    page.locator("[data-at='0,0']").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert focused(page) == "33"
    page.keyboard.press("Enter")
    page.wait_for_selector(".complaint")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".tray > ul > li")
    assert focused(page) == "33"
    assert run(page, host)[0]["place"]["where"] == {"week": "2026-09-07", "region": "west"}


def test_a_defect_in_one_screen_leaves_the_others(page: Any, host: Host) -> None:
    host.shop.queries["plans"] = host.shop.queries["plans"] | {"columns": None}  # type: ignore[attr-defined]
    page.goto(f"{host.url}/q/plans")
    assert "please report it" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="Queries").click()
    page.locator(".mark").first.wait_for()


def test_the_form_opens_at_once_though_the_server_is_slow(page: Any, host: Host) -> None:
    opened(page, host)
    host.delay = {"place": 3, "describe": 3}
    took = page.evaluate(
        """() => new Promise((done) => {
            const root = document.querySelector('#rain-view').shadowRoot, start = performance.now();
            new MutationObserver(() => {
                if (root.querySelector('.complaint')) requestAnimationFrame(() => done(performance.now() - start));
            }).observe(root, { childList: true, subtree: true });
            const marks = root.querySelectorAll('button.mark');
            marks[marks.length - 1].click();
        })"""
    )
    assert took < 150, f"{took:.0f} ms"


@pytest.mark.parametrize(
    ("query", "mark", "place"),
    [
        ("weekly", "2026-10-05, n:", {"column": "n", "where": {"week": "2026-10-05"}}),
        ("by region", "2026-10-05, west:", {"column": "n", "where": {"week": "2026-10-05", "region": "west"}}),
        ("plans", "family, south:", {"column": "n", "where": {"plan": "family", "region": "south"}}),
        ("reasons", "moved away, risk:", {"column": "risk", "where": {"reason": "moved away"}}),
        ("risk and tenure", "id 2, tenure 21.4, risk:", {"column": "risk", "where": {"id": 2}}),
    ],
)
def test_each_chart_and_its_table_name_the_same_places(
    page: Any, host: Host, query: str, mark: str, place: Any
) -> None:
    opened(page, host, query)
    point(page, f"^{re.escape(mark)}").first.click(force=True)
    add(page, "Is right")
    page.keyboard.press("t")
    page.locator("table .cell.marked").click()
    add(page, "Too high")
    sent = run(page, host)
    assert [c["place"] for c in sent] == [{"query": query} | place] * 2


def test_a_click_near_a_point_means_it(page: Any, host: Host) -> None:
    opened(page, host)
    box = point(page, "2026-11-09, n:").bounding_box()
    assert box["width"] >= 24 and box["height"] >= 24
    page.mouse.click(box["x"] - 8, box["y"] + 34)
    assert page.locator(".complaint h2").inner_text() == "n of week 2026-11-09"


def test_legend_entries_and_totals(page: Any, host: Host) -> None:
    opened(page, host, "by region")
    page.get_by_role("button", name="west", exact=True).click()
    add(page, "Too low", "20")
    page.get_by_role("button", name=re.compile("^Total of n")).click()
    add(page, "Should be", "900")
    west, every = run(page, host)
    place = {"query": "by region", "column": "n", "total": True}
    assert west == {"place": place | {"where": {"region": "west"}}, "claim": "too_low", "value": 20}
    assert every == {"place": place | {"where": {}}, "claim": "should_be", "value": 900}


def test_an_answer_of_one_number_is_the_number(page: Any, host: Host) -> None:
    page.goto(f"{host.url}/q/total")
    page.get_by_role("button", name="n 829").click()
    add(page, "At most", "500")
    place = {"query": "total", "column": "n", "where": {}}
    assert run(page, host) == [{"place": place, "claim": "at_most", "value": 500}]


def test_numbers_that_name_something_are_not_grouped(page: Any, host: Host) -> None:
    view = host.shop.queries["plain"]  # type: ignore[attr-defined]
    columns = [shop_host.column(name) for name in ("year", "user_id", "users")]
    host.shop.queries["plain"] = view | {"columns": columns, "rows": [[2026, 20971, 6400.25]] * 2, "total": 2}  # type: ignore[attr-defined]
    opened(page, host, "plain")
    assert page.locator("tbody tr").first.locator("td").all_inner_texts() == ["2026", "20971", "6,400.3"]


def test_classes_and_rows(page: Any, host: Host) -> None:
    opened(page, host, "users")
    page.locator("[data-at='1,3']").click()
    page.get_by_role("combobox", name="Should be").select_option(label="yes")
    page.get_by_role("button", name="Add complaint").click()
    page.wait_for_selector(".tray > ul > li")
    page.get_by_role("button", name="The row of id 4", exact=True).click()
    add(page, "This row should not be here")
    page.get_by_text("A row is missing…").click()
    page.get_by_label("id", exact=True).fill("777")
    page.get_by_role("button", name="Complain", exact=True).click()
    add(page, "This row should be here")
    assert run(page, host) == [
        {"place": {"query": "users", "column": "leaves", "where": {"id": 2}}, "claim": "should_be", "value": "yes"},
        {"place": {"query": "users", "column": None, "where": {"id": 4}}, "claim": "should_not_exist"},
        {"place": {"query": "users", "column": None, "where": {"id": 777}}, "claim": "should_exist"},
    ]


def test_one_point_should_equal_another(page: Any, host: Host) -> None:
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    page.get_by_role("radio", name="Should equal another").check()
    assert "Pick the one" in page.locator(".hint").inner_text()
    point(page, "2026-10-26, n:").click()
    assert page.locator(".complaint h2").inner_text() == "n of week 2026-11-09"
    page.wait_for_selector(".complaint button.main:focus")
    page.keyboard.press("Enter")  # the focus is at what adds it
    page.wait_for_selector(".tray > ul > li")
    (complaint,) = run(page, host)
    assert (complaint["claim"], complaint["against"]) == ("should_equal", LOW | {"where": {"week": "2026-10-26"}})


def test_a_missing_value_is_asked_for_where_it_is_missing(page: Any, host: Host) -> None:
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    page.get_by_role("radio", name="At most").check()
    page.get_by_role("button", name="Add complaint").click()
    assert focused(page) == "At most"
    assert not host.of("debug") and page.locator(".tray").count() == 0


def test_rows_and_records_behind_are_one_click_away(page: Any, host: Host) -> None:
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    page.get_by_role("button", name="Rows behind it", exact=True).click()
    page.wait_for_selector(".behind table")
    assert host.of("rows_behind")[0]["place"] == LOW and page.locator(".behind tbody tr").count() == 48
    page.get_by_role("button", name="Training records", exact=True).click()
    page.get_by_role("link", name="22", exact=True).click()
    page.wait_for_url("**/records/churn/22")


def test_the_first_suspects_follow_the_complaints(page: Any, host: Host) -> None:
    opened(page, host)
    suspects = page.get_by_role("list", name="First suspects")
    assert suspects.count() == 0
    point(page, "2026-11-09, n:").click()
    add(page, "At least", "90")
    suspects.wait_for()
    assert suspects.get_by_role("link").all_inner_texts() == ["11", "22", "33", "44", "55"]
    first, last = (suspects.locator(".share").nth(i).bounding_box()["width"] for i in (0, 4))
    assert abs(last / first - 1 / 5) < 0.02
    page.get_by_role("button", name=re.compile("^Remove: ")).click()
    suspects.wait_for(state="detached")
    point(page, "2026-11-09, n:").click()
    add(page, "Too low")
    suspects.get_by_role("link", name="22", exact=True).click()
    page.wait_for_url("**/records/churn/22")
    asked = [[c["claim"] for c in request["complaints"]] for request in host.of("suspects")]
    assert [claims for claims in asked if claims] == [["at_least"], ["too_low"]]


def test_progress_moves_the_points_and_cancel_keeps_the_rounds(page: Any, host: Host) -> None:
    host.shop.rounds, host.shop.pause = 100, 0.15  # type: ignore[attr-defined]
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    add(page, "At least", "90")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".end.now")
    heights = set()
    for _ in range(100):
        heights.add(page.locator(".end.now").bounding_box()["y"])
        if len(heights) > 2:
            break
        page.wait_for_timeout(60)
    assert len(heights) > 2
    assert re.search(r"Round \d+: \d+ records fixed, of at most 300", page.locator(".going").inner_text())
    page.get_by_role("button", name="Cancel, keep the rounds done").click()
    page.wait_for_url("**/runs/7")
    assert host.cut.wait(5)


def test_a_run_that_fails_says_why_and_keeps_the_complaints(page: Any, host: Host) -> None:
    def refused(request: Any) -> Iterator[Any]:
        yield {"type": "started", "id": "7", "budget": 300}
        yield {
            "type": "failed",
            "failure": Refused("DebugError", "no record moves it", hint="complain about less").failure,
        }

    host.streams["debug"] = refused
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    add(page, "Too low")
    page.get_by_role("button", name=re.compile("Find the records")).click()
    alert = page.get_by_role("alert")
    assert "no record moves it" in alert.inner_text() and "complain about less" in alert.inner_text()
    assert page.locator(".tray > ul > li").count() == 1


def test_settings_are_folded_away_and_sent(page: Any, host: Host) -> None:
    opened(page, host)
    point(page, "2026-11-09, n:").click()
    add(page, "Too low")
    page.get_by_text("Fixes at most 300 records, 10 a round").click()
    page.get_by_label("Records at most").fill("120")
    page.get_by_role("combobox", name="Fix a record").select_option("relabel")
    run(page, host)
    assert host.of("debug")[-1]["settings"] == {"budget": 120, "fix": "relabel"}


def test_sql_is_asked_again_and_what_is_refused_is_underlined(page: Any, host: Host) -> None:
    opened(page, host, "plans")
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("SELECT regoin, count(*) AS n FROM users u")
    page.keyboard.press("Control+Enter")
    assert page.locator(".sql-wrong").inner_text() == "regoin"
    assert "did you mean 'region'" in page.get_by_role("alert").inner_text()
    page.keyboard.press("Control+a")
    page.keyboard.type("SELECT week, count(*) AS n FROM users u")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".sql-wrong", state="detached")
    assert host.last("ask", sql="SELECT week, count(*) AS n FROM users u")["name"] == "plans"
    point(page, "2026-11-09, n: 48").wait_for()


def test_a_new_query_with_completion(page: Any, host: Host) -> None:
    opened(page, host)
    page.get_by_role("link", name="New query").click()
    page.wait_for_selector(".cm-editor")
    for typed, offered in (("SELECT * FROM chu", "churn_training"), (" WHERE predict(ch", "churn")):
        page.keyboard.type(typed, delay=15)
        page.locator(".cm-tooltip-autocomplete li", has_text=offered).first.wait_for()
        page.keyboard.press("Escape")
    page.get_by_label("Name").fill("mine")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/q/mine")
    assert host.last("ask", name="mine")


def test_a_million_rows_are_paged(page: Any, host: Host) -> None:
    opened(page, host, "users")
    assert page.locator("tbody tr").count() == 100
    page.get_by_role("button", name="Last page").click()
    page.get_by_text("of 1,000,000").wait_for()
    page.get_by_text("999,901–1,000,000").wait_for()
    assert host.last("rows", offset=999_900) and page.locator("tbody tr").count() == 100
    page.get_by_role("button", name="tenure").click()
    page.wait_for_selector("th[aria-sort=ascending]")
    assert host.last("rows", sort="tenure") == {
        "query": "users",
        "offset": 0,
        "limit": 100,
        "sort": "tenure",
        "down": False,
    }


def test_hostile_text_stays_text(page: Any, host: Host) -> None:
    host.shop.queries["weekly"] |= {"sql": f"SELECT '{shop_host.HOSTILE}'"}  # type: ignore[attr-defined]
    for query in ("reasons", "users", "weekly"):
        opened(page, host, query)
        assert shop_host.HOSTILE in page.locator(".query-screen").inner_text()
        assert page.locator("img").count() == 0
    opened(page, host, "reasons")
    point(page, "^<img").click()
    add(page, "Too low")
    assert shop_host.HOSTILE in page.locator(".tray").inner_text() and page.locator("img").count() == 0


def test_what_cannot_be_complained_about_says_why(page: Any, host: Host) -> None:
    opened(page, host, "plain")
    assert "no cell of this answer depends on a prediction" in page.locator(".refused").inner_text()
    assert page.locator("[data-at]").count() == 0
    page.goto(f"{host.url}/q/gone")
    assert "there is no query 'gone'" in page.get_by_role("alert").inner_text()


def test_keys_are_listed_and_letters_that_are_typed_are_text(page: Any, host: Host) -> None:
    opened(page, host)
    page.locator(".cm-content").wait_for()
    page.keyboard.press("?")
    assert "Chart or table" in page.locator("dialog[open]").inner_text()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    page.keyboard.press("e")
    page.locator(".cm-focused").wait_for()
    page.keyboard.type("t?c")
    assert "t?c" in page.locator(".cm-content").inner_text()
    assert page.locator("dialog[open]").count() == 0 and page.locator(".mark").count() == 10


def test_a_key_after_the_list_of_keys_is_the_pages(page: Any, host: Host) -> None:
    """Just closed, the list has the focus until the page is drawn again."""
    opened(page, host)
    page.locator(".cm-content").wait_for()
    page.keyboard.press("?")
    page.locator("dialog[open] h2").evaluate(
        "(head) => { head.closest('dialog').close();"
        " head.dispatchEvent(new KeyboardEvent('keydown', { key: 'e', bubbles: true, composed: true })); }"
    )
    page.locator(".cm-focused").wait_for()


def test_a_server_that_went_away_is_said(chromium: Any, host: Host) -> None:
    page = opened(chromium.new_page(), host)
    host.close()
    page.get_by_role("link", name="plans").click()
    assert "The server does not answer" in page.get_by_role("alert").inner_text()
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_is_in_the_way_of_anyone(page: Any, host: Host, violations: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for query in ("by region", "reasons", "users", "plain"):
        found[query] = violations(opened(page, host, query))
    opened(page, host)
    page.keyboard.press("?")
    found["keys"] = violations(page)
    page.keyboard.press("Escape")
    point(page, "2026-11-09, n:").click()
    page.get_by_role("button", name="Rows behind it", exact=True).click()
    page.wait_for_selector(".behind table")
    found["complaint"] = violations(page)
    add(page, "At least", "90")
    page.locator(".settings summary").click()
    found["tray"] = violations(page)
    host.shop.pause = 1.0  # type: ignore[attr-defined]
    page.get_by_role("button", name=re.compile("Find the records")).click()
    page.wait_for_selector(".end.now")
    found["run"] = violations(page)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= width, "the page scrolls sideways"
    assert {state: bad for state, bad in found.items() if bad} == {}
    page.wait_for_url("**/runs/7")
