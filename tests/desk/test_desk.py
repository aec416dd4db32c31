"""The desk on the shop: what a page asks of it, and what it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.desk import Desk
from rain_debug.errors import DeskError, RainError

LOW = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}


@pytest.fixture(scope="module")
def shop() -> Iterator[Desk]:
    found = datasets.shop()
    db = rain.connect(found.frames())
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(found.features))  # fmt: skip
    weekly = db.query(found.query, name="weekly")
    given = [weekly.cell("n", week=w).at_least(95) for w in found.fallen]
    with Desk(db, [weekly], given, {"budget": 300}, title="The shop") as desk:
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
    assert shop.call("describe", {"complaint": {"place": basic, "claim": "too_low", "value": 30}})["text"]


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
