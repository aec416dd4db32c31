"""The desk on the shop: what a page asks of it, and what it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rain_debug as rain
from desk.shops import shop_desk
from rain_debug import datasets
from rain_debug.desk import Desk
from rain_debug.desk.places import CLAIMS
from rain_debug.errors import DeskError, RainError

LOW = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}


@pytest.fixture(scope="module")
def shop() -> Iterator[Desk]:
    with shop_desk() as desk:
        yield desk


def low(claim: str, **more: Any) -> dict[str, Any]:
    return {"place": LOW, "claim": claim, **more}


def test_a_point_is_found_and_complained_about(shop: Desk) -> None:
    view = shop.call("query", {"name": "weekly"})
    assert view["chart"] == {"type": "line", "x": "week", "scale": "time", "y": ["n"], "color": None}
    assert view["keys"] == ["week"] and ["2026-11-09", 48] in view["rows"] and view["refused"] is None
    assert shop.call("place", {"place": LOW}) == {
        "text": "n where week = '2026-11-09'", "value": 48, "says": "value", "classes": [], "whole": True
    }  # fmt: skip
    said = shop.call("describe", {"complaint": low("at_least", value=95)})
    assert said == {"text": "n where week = '2026-11-09' should be at least 95", "holds": False}
    assert shop.call("describe", {"complaint": low("at_most", value=95)})["holds"]


def test_a_total_is_a_place_too(shop: Desk) -> None:
    whole = {"query": "weekly", "column": "n", "where": {}, "total": True}
    rows = shop.call("rows", {"query": "weekly", "offset": 0, "limit": 100})["rows"]
    assert shop.call("place", {"place": whole})["value"] == sum(n for _, n in rows)
    sql = "SELECT plan, week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY plan, week"
    view = shop.call("ask", {"sql": sql, "name": "plans"})
    assert view["chart"]["color"] == "plan" and view["chart"]["x"] == "week"
    basic = {"query": "plans", "column": "n", "where": {"plan": "basic"}, "total": True}
    assert shop.call("place", {"place": basic})["value"] == sum(n for plan, _, n in view["rows"] if plan == "basic")
    said = shop.call("describe", {"complaint": {"place": basic, "claim": "too_low", "value": 30}})
    assert said["text"] == "the total of n where plan = 'basic' is too low by 30"
    complaints = [{"place": basic, "claim": "too_low", "value": 30}, {"place": whole, "claim": "too_low"}]
    *_, last = shop.stream("debug", {"complaints": complaints, "settings": {"budget": 60, "step": 20}})
    run = last["run"]
    assert [s["place"] for s in run["standings"]] == [basic, whole]
    assert "moves the total of n where plan = 'basic' from" in run["sentence"]
    assert {c["query"] for c in run["changes"]} == {"plans: total n by plan", "weekly: total n"}
    *_, again = shop.stream("debug", run["request"])
    assert again["run"]["sentence"] == run["sentence"]


def test_a_run_is_told_round_by_round(shop: Desk) -> None:
    complaints = [{**low("at_least", value=95), "place": {**LOW, "where": {"week": w}}} for w in datasets.shop().fallen]
    began = time.perf_counter()
    events = shop.stream("debug", {"complaints": complaints, "settings": {"step": 50}})
    first = next(events)
    assert time.perf_counter() - began < 0.1 and first["type"] == "started" and first["budget"] == 300
    told = [first, *events]
    rounds = [e for e in told if e["type"] == "round"]
    assert [e["removed"] for e in rounds] == [0, 50, 100, 150, 200, 250][: len(rounds)] and len(rounds) > 3
    assert rounds[0]["standings"][1]["after"] == 48 and rounds[-1]["standings"][1]["after"] >= 95
    done = told[-1]
    assert done["type"] == "done" and done["run"]["met"] and "import-17" in done["run"]["pattern"]
    (change,) = done["run"]["changes"]
    at = change["before"].index(["2026-11-09", 48])
    assert change["after"][at][1] >= 95 and [at, "n"] in change["marked"]


def test_a_cancelled_run_keeps_its_rounds(shop: Desk) -> None:
    stop = threading.Event()
    last: dict[str, Any] = {}
    for event in shop.stream("debug", {"complaints": [low("too_low")], "settings": {"step": 5}}, stop):
        if event["type"] == "round" and event["number"] == 3:
            stop.set()
        last = event
    assert last["type"] == "done" and last["run"]["state"] == "interrupted"
    assert 10 < last["run"]["removed"] < 300, "what was done is kept, and no more is done"


@pytest.mark.parametrize(
    ("op", "request_"),
    [
        ("nothing", {}),
        ("query", {}),
        ("query", {"name": "weekli"}),
        ("query", {"name": "weekly", "more": 1}),
        ("query", []),
        ("rows", {"query": "weekly", "offset": -1, "limit": 3}),
        ("rows", {"query": "weekly", "offset": 0.5, "limit": 3}),
        ("rows", {"query": "weekly", "offset": 0, "limit": 3, "sort": "m"}),
        ("place", {"place": {**LOW, "where": {"week": [1]}}}),
        ("place", {"place": {**LOW, "column": None, "total": True}}),
        ("place", {"place": {**LOW, "where": {"week": "\ud800"}}}),
        ("place", {"place": {**LOW, "where": {"\ud800": 1}}}),
        ("ask", {"sql": "SELECT '\udfff'"}),
        ("ask", {"sql": "SELECT 1", "name": "x" * 101}),
        ("describe", {"complaint": low("too_wrong")}),
        ("describe", {"complaint": low("should_be")}),
        ("describe", {"complaint": low("should_exist")}),
        ("describe", {"complaint": {**low("too_low"), "given": 7}}),
        ("describe", {"complaint": {"place": LOW, "claim": "should_equal", "against": {**LOW, "column": None}}}),
    ],
)
def test_what_makes_no_sense_is_said(shop: Desk, op: str, request_: Any) -> None:
    with pytest.raises(DeskError) as caught:
        shop.call(op, request_)
    said = shop.failure(caught.value)
    assert said["kind"] == "DeskError" and said["message"] and said["hint"]


def test_refused_sql_changes_nothing_and_is_underlined(shop: Desk) -> None:
    before = shop.call("query", {"name": "weekly"})
    with pytest.raises(RainError) as caught:
        shop.call("ask", {"sql": "SELECT predict(churm, u) FROM users u", "name": "weekly"})
    said = shop.failure(caught.value)
    assert said["fragment"] == "predict(churm, u)" and said["line"] == 1 and said["column"] == 8
    assert shop.call("query", {"name": "weekly"}) == before


def test_a_query_without_predictions_has_an_answer_and_nothing_to_complain_about(shop: Desk) -> None:
    view = shop.call("ask", {"sql": "SELECT plan, count(*) AS n FROM users GROUP BY plan", "name": "plain"})
    assert view["refused"] and view["chart"]["type"] == "bar" and view["total"] == 3
    with pytest.raises(RainError):
        shop.call("place", {"place": {"query": "plain", "column": "n", "where": {"plan": "basic"}}})


def test_a_run_that_is_stopped_before_its_first_round_says_so_and_leaves_nothing(shop: Desk) -> None:
    before = shop.call("runs", {"offset": 0, "limit": 1})["total"]
    stop = threading.Event()
    stop.set()
    *_, last = shop.stream("debug", {"complaints": [low("too_low")], "settings": {}}, stop)
    assert (last["type"] == "done" and last["run"]["state"] == "interrupted") or "stopped" in last["failure"]["message"]
    blocked = threading.Event()
    busy = shop._worker.submit(blocked.wait)
    stop = threading.Event()
    told = shop.stream("debug", {"complaints": [low("too_low")], "settings": {}}, stop)
    assert next(told)["type"] == "started"
    waiting = next(told)
    assert waiting["type"] == "waiting" and "asked before" in waiting["doing"] and waiting["seconds"] < 0.6
    stop.set()
    last = list(told)[-1]
    assert last["type"] == "failed" and "stopped before its first round" in last["failure"]["message"]
    assert not busy.done(), "another's work goes on"
    blocked.set()
    assert busy.result() and shop.call("runs", {"offset": 0, "limit": 1})["total"] <= before + 1


def test_a_listener_that_goes_away_stops_the_run(shop: Desk) -> None:
    told = shop.stream("debug", {"complaints": [low("too_low")], "settings": {"step": 1}})
    name = next(told)["id"]
    while next(told)["type"] != "round":
        pass
    told.close()
    shop.call("project", {})  # waits for the run
    found = shop.call("run", {"id": name})
    assert found["state"] == "interrupted" and found["removed"] < 100 and found["live"]


def test_a_listener_hears_something_twice_a_second(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = shop._db.debug

    def sleepy(*args: Any, on_round: Any, **settings: Any) -> Any:
        def round_(done: Any) -> None:
            time.sleep(1.1)
            on_round(done)

        return slow(*args, on_round=round_, **settings)

    monkeypatch.setattr(shop._db, "debug", sleepy)
    gaps = []
    for _ in range(3):  # a machine that is busy with other things may starve the listener once
        last, longest, doing = time.perf_counter(), 0.0, set()
        for event in shop.stream("debug", {"complaints": [low("at_least", value=60)], "settings": {"step": 100}}):
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            doing |= {event["doing"]} if event["type"] == "waiting" else set()
        assert any("first answer" in d for d in doing) and any("round 2" in d for d in doing)
        gaps.append(longest)
        if longest < 1.0:
            return
    raise AssertionError(f"silent for {gaps} seconds")


def test_a_statement_of_the_run_is_interrupted_and_no_other(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = threading.Event()

    def stuck(*args: Any, **settings: Any) -> Any:
        inside.set()
        shop._db.engine.table(
            "SELECT count(*) AS n FROM range(3000000) a, range(3000000) b WHERE a.range % 7 = b.range % 11"
        )

    monkeypatch.setattr(shop._db, "debug", stuck)
    stop = threading.Event()
    told = shop.stream("debug", {"complaints": [low("too_low")], "settings": {}}, stop)
    name = next(told)["id"]
    assert inside.wait(10)
    begin = time.perf_counter()
    stop.set()
    last = list(told)[-1]
    assert time.perf_counter() - begin < 5 and "stopped before its first round" in last["failure"]["message"]
    with pytest.raises(DeskError):
        shop.call("run", {"id": name})
    assert shop.call("query", {"name": "weekly"})["rows"], "the database answers on"


def test_a_failure_after_some_rounds_keeps_them(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shop._db.debug

    def broken(*args: Any, on_round: Any, **settings: Any) -> Any:
        def round_(done: Any) -> None:
            on_round(done)
            if done.number == 3:
                raise rain.ModelError("the fit failed")

        return real(*args, on_round=round_, **settings)

    monkeypatch.setattr(shop._db, "debug", broken)
    events = list(shop.stream("debug", {"complaints": [low("too_low")], "settings": {"step": 10}}))
    assert events[-1]["type"] == "failed" and events[-1]["failure"]["kind"] == "ModelError"
    found = shop.call("run", {"id": events[0]["id"]})
    assert found["state"] == "failed" and "the fit failed" in found["sentence"] and len(found["rounds"]) == 3
    page = shop.call("records", {"run": events[0]["id"], "offset": 0, "limit": 100})
    assert page["total"] == 30 and "import-17" in {r["values"][0] for r in page["rows"]}
    assert [c["name"] for c in page["columns"]][:2] == ["source", "plan"]


def test_calls_of_many_threads_queue(shop: Desk) -> None:
    found: list[Any] = []

    def ask(week: str) -> None:
        place = {**LOW, "where": {"week": week}}
        found.append((week, shop.call("rows_behind", {"place": place, "offset": 0, "limit": 1})["total"]))

    weeks = [row[0] for row in shop.call("query", {"name": "weekly"})["rows"]]
    threads = [threading.Thread(target=ask, args=(w,)) for w in weeks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(w for w, _ in found) == sorted(weeks) and all(n > 10 for _, n in found)


def test_what_was_looked_at_can_be_looked_at_while_a_run_goes_on(shop: Desk) -> None:
    before = shop.call("query", {"name": "weekly"})
    project = shop.call("project", {})
    told = shop.stream("debug", {"complaints": [low("too_low")], "settings": {"step": 1}})
    name = next(told)["id"]
    while next(told)["type"] != "round":
        pass
    assert name in shop._runs.under_way
    assert shop.call("query", {"name": "weekly"}) == before
    page = shop.call("rows", {"query": "weekly", "offset": 0, "limit": 2, "sort": "n"})
    assert [row[1] for row in page["rows"]] == sorted(row[1] for row in before["rows"])[:2]
    assert shop.call("project", {}) == {**project, "runs": project["runs"] + 1}
    heads = shop.call("runs", {"offset": 0, "limit": 1})["runs"]
    assert heads[0]["id"] == name and heads[0]["sentence"].startswith("Under way: round ")
    assert shop.call("run", {"id": name})["rounds"]
    with pytest.raises(DeskError):
        shop.call("query", {"nam": "weekly"})
    assert name in shop._runs.under_way, "and none of this waited for the run"
    told.close()
    with pytest.raises(DeskError):
        shop.call("query", {"name": "another"})


def test_a_closed_desk_says_so() -> None:
    desk = Desk(rain.connect({"t": {"x": [1.0]}}))
    desk.close()
    with pytest.raises(DeskError):
        desk.call("project", {})


CLASSES = "SELECT week, predict(churn, u) AS c FROM users u"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("2026-11-09")


@settings(max_examples=60)
@given(
    where=st.dictionaries(st.sampled_from(["week", "n", "plan", "WEEK", ""]), SCALARS, max_size=2),
    column=st.sampled_from(["n", "week", None, "N", "x"]),
    total=st.booleans(),
    query=st.sampled_from(["weekly", "plain", "rows", "nested"]),
    claim=st.sampled_from(CLAIMS),
    asked=SCALARS,
)
def test_any_place_and_any_value_get_an_answer_or_a_reason(
    shop: Desk, where: Any, column: Any, total: bool, query: str, claim: str, asked: Any
) -> None:
    for name, sql in (
        ("plain", "SELECT week, count(*) AS n FROM users GROUP BY week"),
        ("rows", "SELECT id, plan, predict(churn, u) AS n FROM users u"),
        ("nested", f"WITH p AS ({CLASSES}) SELECT week, count(*) AS n FROM p WHERE c = 'yes' GROUP BY week"),
    ):
        if name not in {q["name"] for q in shop.call("project", {})["queries"]}:
            shop.call("ask", {"sql": sql, "name": name})
    place = {"query": query, "column": column, "where": where, "total": total}
    for op, request in (
        ("place", {"place": place}),
        ("describe", {"complaint": {"place": place, "claim": claim, "value": asked, "against": LOW}}),
    ):
        try:
            json.dumps(shop.call(op, request), allow_nan=False)
        except RainError as error:
            json.dumps(shop.failure(error), allow_nan=False)
            assert error.message


def test_typed_queries_are_forgotten_at_last_and_the_project_s_own_never() -> None:
    db = rain.connect({"t": {"x": [1.0]}})
    with Desk(db) as desk:
        for i in range(60):
            desk.call("ask", {"sql": f"SELECT x + {i} AS y FROM t", "name": f"q{i}"})
        names = [q["name"] for q in desk.call("project", {})["queries"]]
        assert names == [f"q{i}" for i in range(10, 60)]
