"""What complaints point to is told at once, where a model is small enough to be prepared while somebody waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.desk import Desk, first_look


@pytest.fixture(scope="module")
def desk() -> Iterator[Any]:
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    training = "SELECT * FROM churn_training"
    how: dict[str, Any] = {"key": "id", "label": "churned", "features": list(shop.features)}
    db.create_model("churn", LogisticRegression(), training, **how)
    db.create_model("other", LogisticRegression(C=0.1), training, **how)
    weekly = db.query(shop.query, name="weekly")
    both = "SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' AND predict(other, u) = 'no'"
    with Desk(db, [weekly, db.query(both, name="both")]) as made:
        yield made


def said(query: str = "weekly", week: str | None = "2026-11-09", **claim: Any) -> dict[str, Any]:
    place = {"query": query, "column": "n", "where": {"week": week} if week else {}}
    return {"place": place, **claim}


def looked(desk: Any, *complaints: Any) -> Any:
    return desk.call("suspects", {"complaints": list(complaints), "limit": 5})


def test_the_records_are_those_of_the_first_round(desk: Any) -> None:
    complaint = said(claim="at_least", value=90)
    found = looked(desk, complaint)
    names = [c["name"] for c in found["rows"]["columns"]]
    assert found["ready"] and found["doubt"] == ""
    assert names[:5] == ["rank", "model", "key", "score", "label"] and "id" not in names and "source" in names
    events = list(desk.stream("debug", {"complaints": [complaint], "settings": {"budget": 10}}))
    run = events[-1]["run"]["id"]
    records = desk.call("records", {"run": run, "offset": 0, "limit": 5})["rows"]
    assert [row[2] for row in found["rows"]["rows"]] == [r["key"] for r in records]


def test_several_models_share_the_list(desk: Any) -> None:
    found = looked(desk, said("both", None, claim="too_high"))
    assert {row[1] for row in found["rows"]["rows"]} <= {"churn", "other"} and len(found["rows"]["rows"]) == 5


def test_nothing_is_told_of_what_holds_or_contradicts_itself(desk: Any) -> None:
    for complaints in (
        [said(claim="at_least", value=1)],
        [said(claim="at_least", value=90), said(claim="at_most", value=80)],
        [said(claim="is_right")],
    ):
        found = looked(desk, *complaints)
        assert found["ready"] and found["rows"]["rows"] == []


def test_it_goes_by_the_projects_settings() -> None:
    shop = datasets.shop()
    db = rain.connect(shop.frames())
    how: dict[str, Any] = {"key": "id", "label": "churned", "features": list(shop.features)}
    db.create_model("churn", LogisticRegression(), "SELECT * FROM churn_training", **how)
    weekly, complaint = db.query(shop.query, name="weekly"), said(claim="at_least", value=90)
    with Desk(db, [weekly]) as made:
        plain = [row[2] for row in looked(made, complaint)["rows"]["rows"]]
    with Desk(db, [weekly], settings={"spare": {"churn": plain[:2]}, "judge": "relaxed"}) as made:
        rows = [row[2] for row in looked(made, complaint)["rows"]["rows"]]
        events = list(made.stream("debug", {"complaints": [complaint], "settings": {"budget": 10}}))
        run = events[-1]["run"]["id"]
        records = made.call("records", {"run": run, "offset": 0, "limit": 5})["rows"]
    assert not set(rows) & set(plain[:2]) and rows == [r["key"] for r in records]


def test_what_is_kept_ready_has_an_end(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = looked(desk, said(claim="too_low"))
    monkeypatch.setattr(first_look, "MOST_READY", 0)
    assert looked(desk, said(claim="too_low")) == first


def test_what_would_take_long_is_left_to_a_run(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(desk)["ready"] is False
    monkeypatch.setattr(first_look, "MOST_CELLS", 100)
    found = looked(desk, said(claim="too_low"))
    assert found["ready"] is False and found["rows"]["rows"] == []
