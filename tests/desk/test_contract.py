"""Every answer of the desk holds to `ui/src/types.ts`: its very fields, each of the kind that stands there."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import rain_debug as rain
from desk.contract import Contract, Type, contract
from desk.shops import shop_desk
from rain_debug.desk import Desk
from rain_debug.engines.table import Table
from rain_debug.errors import RainError

HOSTILE = ("<script>alert(1)</script>", '"; DROP TABLE t; --', "</style>\u2028", "", "a\x00b", "x" * 5000, "💥'")


@pytest.fixture(scope="module")
def held() -> Contract:
    return contract()


@dataclass
class Held:
    """A desk whose every answer is held to the contract, and has to be JSON."""

    desk: Desk
    contract: Contract

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        asks, answers = self.contract.operation("Ops", op).of
        assert not self.contract.wrong(request, asks, f"the test's own {op}")
        found = self.desk.call(op, request)
        self._hold(found, answers, op)
        return found

    def refused(self, op: str, **request: Any) -> dict[str, Any]:
        with pytest.raises(RainError) as caught:
            self.desk.call(op, request)
        said = self.desk.failure(caught.value)
        self._hold(said, "Failure", op)
        assert said["message"] and said["kind"] != "Defect"
        return said

    def stream(self, op: str, **request: Any) -> list[dict[str, Any]]:
        assert not self.contract.wrong(request, self.contract.operation("Streams", op), f"the test's own {op}")
        told = list(self.desk.stream(op, request))
        for event in told:
            self._hold(event, "Progress", f"{op}: {event.get('type')}")
        assert told[0]["type"] in ("started", "failed") and told[-1]["type"] in ("done", "failed")
        return told

    def run(self, op: str, **request: Any) -> dict[str, Any]:
        last = self.stream(op, **request)[-1]
        assert last["type"] == "done", last
        return last["run"]

    def _hold(self, found: Any, kind: Type | str, what: str) -> None:
        kind = Type("name", kind) if isinstance(kind, str) else kind
        text = json.dumps(found, allow_nan=False)
        assert len(text) < 1_000_000 or kind.of == "Download"
        wrong = self.contract.wrong(found, kind, what)
        assert not wrong, "\n".join(wrong[:20])


Opened = Callable[[Desk], Held]


@pytest.fixture
def opened(held: Contract) -> Iterator[Opened]:
    desks: list[Desk] = []

    def open_(desk: Desk) -> Held:
        desks.append(desk)
        return Held(desk, held)

    yield open_
    for desk in desks:
        desk.close()


def test_every_operation_on_the_shop(opened: Opened) -> None:
    page = opened(shop_desk(step=50))
    project = page.call("project")
    assert [c["text"] for c in project["complaints"]] and project["defaults"]["budget"] == 300
    view = page.call("query", name="weekly")
    low = {"query": "weekly", "column": "n", "where": {"week": "2026-11-09"}}
    page.call("rows", query="weekly", offset=2, limit=5, sort="n", down=True)
    page.call("place", place=low)
    page.call("place", place={**low, "column": None})
    page.call("place", place={**low, "where": {}, "total": True})
    other = {**low, "where": {"week": view["rows"][0][0]}}
    for claim, more in (
        ("too_low", {}), ("too_low", {"value": 30}), ("too_high", {}), ("should_be", {"value": 90, "tolerance": 2}),
        ("at_least", {"value": 90}), ("at_most", {"value": 20.5}), ("is_right", {"tolerance": 1}),
        ("should_equal", {"against": other}),
    ):  # fmt: skip
        said = page.call("describe", complaint={"place": low, "claim": claim, **more})
        assert said["text"]
    for claim in ("should_exist", "should_not_exist", "is_right"):
        page.call("describe", complaint={"place": {**low, "column": None}, "claim": claim})
    assert page.call("rows_behind", place=low, offset=1, limit=3)["total"] > 100
    assert len(page.call("records_behind", place=low, limit=7)["rows"]) == 7
    given = [c["complaint"] for c in project["complaints"]]
    look = page.call("suspects", complaints=given, limit=5)
    names = [c["name"] for c in look["rows"]["columns"]]
    assert look["ready"] and names[:5] == ["rank", "model", "key", "score", "label"]
    run = page.run("debug", complaints=given, settings={"step": 100})
    assert run["met"] and run["live"] and run["patterns"][0]["verified"] < 0 and len(run["patterns"][0]["cells"]) == 2
    assert page.call("runs", offset=0, limit=10)["total"] == page.call("project")["runs"] == 1
    first = page.call("records", run=run["id"], offset=0, limit=5)["rows"]
    assert [row[1:3] for row in look["rows"]["rows"]] == [[r["model"], r["key"]] for r in first]
    again = page.call("run", id=run["id"])
    assert again == run
    assert page.call("records", run=run["id"], offset=0, limit=10)["total"] == run["removed"]
    some = page.call("records", run=run["id"], offset=0, limit=10, text="IMPORT-17", pattern=0, sort="fee", down=True)
    fees = [r["values"][[c["name"] for c in some["columns"]].index("fee")] for r in some["rows"]]
    assert fees == sorted(fees, reverse=True) and 0 < some["total"] < run["removed"]
    first = some["rows"][0]
    one = {"model": first["model"], "key": first["key"]}
    assert page.call("keep", run=run["id"], keep=True, keys=[one]) == {"kept": 1, "marked": 1}
    assert page.call("keep", run=run["id"], keep=True, text="import-17")["kept"] == \
        page.call("records", run=run["id"], offset=0, limit=1, kept=True)["total"]  # fmt: skip
    page.call("record", **one)
    for op in ("side_effects", "prefix", "forecasts"):
        assert page.call(op, id=run["id"])["tables"]
    for kind in ("csv", "parquet", "json", "txt", "html", "sql", "check"):
        found = page.desk.call("export", {"id": run["id"], "format": kind, "table": "churn_training", "pattern": 0})
        assert not page.contract.wrong(found, "Download", kind) and (found.get("text") or found["base64"])
    other_run = page.run("debug", complaints=given, settings={}, keep_of=run["id"])
    kept = {r["key"] for r in page.call("records", run=run["id"], offset=0, limit=1000, kept=True)["rows"]}
    removed = {r["key"] for r in page.call("records", run=other_run["id"], offset=0, limit=1000)["rows"]}
    assert kept and removed and not kept & removed, "what was kept is spared"
    by_rule = page.run("fix_pattern", id=run["id"], pattern=0)
    assert by_rule["stopped"].startswith("all records where source = 'import-17'")
    assert by_rule["removed"] == run["patterns"][0]["records"]
    assert [s["after"] for s in by_rule["standings"]] == run["patterns"][0]["cells"]


def test_a_stopped_server_still_has_its_runs(opened: Opened, tmp_path: Path) -> None:
    page = opened(shop_desk(tmp_path / "runs", step=50))
    given = [c["complaint"] for c in page.call("project")["complaints"]]
    run = page.run("debug", complaints=given, settings={"step": 100})
    page.call("keep", run=run["id"], keep=True, text="import-17")
    before = page.call("records", run=run["id"], offset=0, limit=100)
    page.desk.close()
    page = opened(shop_desk(tmp_path / "runs", step=50))
    assert page.call("run", id=run["id"]) == {**run, "live": False, "kept": before["kept"]}
    assert page.call("records", run=run["id"], offset=0, limit=100) == before
    for kind in ("csv", "parquet", "json", "txt", "html", "check"):
        page.call("export", id=run["id"], format=kind, table="churn_training", pattern=0)
    assert "gone" in page.refused("export", id=run["id"], format="sql", table="t")["message"]
    assert "gone" in page.refused("prefix", id=run["id"])["message"]
    again = page.run("debug", **{**run["request"], "keep_of": run["id"]})
    assert again["removed"]


def test_a_run_made_elsewhere_is_one_of_the_page_s(opened: Opened) -> None:
    page = opened(shop_desk(step=50))
    weekly = page.desk._answers.query("weekly")
    complaints = [weekly.cell("n", week="2026-11-09").too_low(), weekly.cell("n", week="2026-10-05").is_right()]
    report = page.desk._db.debug(complaints, budget=40, step=20, spare=[2412])
    name = page.desk.add(report)
    assert page.desk.report(name) is report
    run = page.call("run", id=name)
    assert run["live"] and run["sentence"] == report.summary and run["removed"] == 40
    (change,) = run["changes"]
    assert len(change["marked"]) == 2
    again = page.run("debug", **run["request"], keep_of=name)
    assert again["complaints"] == [c.describe() for c in complaints]
    page.call("side_effects", id=name)


def small(n: int = 60) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    day = [datetime.date(2026, 1, 1) + datetime.timedelta(days=int(i) % 5) for i in range(n)]
    return {"id": np.arange(n), "x": x, "y": np.where(x + rng.normal(size=n) > 0, "yes", "no").astype(object),
            "day": day, "price": x * 2 + rng.normal(size=n)}  # fmt: skip


def odd_desk() -> Desk:
    past, now = small(), small(400)
    big = 2**60 + np.arange(400) % 3
    now["big"] = big
    now["word"] = [HOSTILE[i % len(HOSTILE)].replace("\x00", "") for i in range(400)]
    now["maybe"] = [None if i % 4 == 0 else ["a", "b", None][i % 3] for i in range(400)]
    now["flag"] = [bool(i % 2) for i in range(400)]
    db = rain.connect({"past": Table.of(**past), "now": Table.of(**now), "none": Table.of(id=[1], x=[1.0])})
    db.create_model("m", LogisticRegression(), "SELECT id, x, y FROM past", key="id", label="y", features=["x"])
    db.create_model("r", Ridge(), "SELECT id, x, price FROM past", key="id", label="price", features=["x"])
    return Desk(db, [], [], {"budget": 20})


@pytest.mark.parametrize("key", ["day", "big", "word", "maybe", "flag"])
def test_keys_of_every_kind_name_their_row(opened: Opened, key: str) -> None:
    page = opened(odd_desk())
    sql = f"SELECT {key}, count(*) AS n FROM now u WHERE predict(m, u) = 'yes' GROUP BY {key} ORDER BY n"
    view = page.call("ask", sql=sql, name="odd")
    assert view["total"] >= 2
    for row in view["rows"]:
        given = json.loads(json.dumps(row))  # as a browser sends it back
        place = {"query": "odd", "column": "n", "where": {key: given[0]}}
        assert page.call("place", place=place)["value"] == row[1]
    total = {"query": "odd", "column": "n", "where": {}, "total": True}
    assert page.call("place", place=total)["value"] == sum(n for _, n in view["rows"])
    run = page.run("debug", complaints=[{"place": place, "claim": "too_high"}], settings={"budget": 10})
    assert run["removed"] == 10 and run["standings"][0]["place"] == place
    page.call("run", id=run["id"])
    page.call("export", id=run["id"], format="html")


def test_an_empty_answer_and_a_query_without_predictions(opened: Opened) -> None:
    page = opened(odd_desk())
    empty = page.call("ask", sql="SELECT id, predict(m, u) AS p FROM now u WHERE u.x > 1000", name="empty")
    assert empty["total"] == 0 and empty["refused"] and empty["chart"]["type"] == "table"
    none = page.call("ask", sql="SELECT word, count(*) AS n FROM now GROUP BY word", name="plain")
    assert none["refused"] and none["rows"]
    page.refused("rows_behind", place={"query": "plain", "column": "n", "where": {}}, offset=0, limit=1)
    page.call("rows", query="plain", offset=100, limit=10)


WRONG = (
    "", ";", "SELECT", "DELETE FROM now", "SELECT 1; SELECT 2", "CREATE MODEL x AS SELECT 1", "SELECT nope FROM now",
    "SELECT predict(q, u) FROM now u", "SELECT predict(m, u) FROM nowhere u", "\x00", "SELECT '" + "x" * 90_000,
)  # fmt: skip


@pytest.mark.parametrize("sql", WRONG, ids=lambda sql: sql[:30] or "empty")
def test_wrong_sql_is_a_failure(opened: Opened, sql: str) -> None:
    page = opened(odd_desk())
    page.refused("ask", sql=sql)
    assert page.call("project")["queries"] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_names(opened: Opened, name: str) -> None:
    page = opened(odd_desk())
    page.refused("query", name=name)
    page.refused("run", id=name)
    page.refused("records", run=name, offset=0, limit=1)
    page.refused("keep", run=name, keep=True)
    page.refused("record", model=name, key=name)
    page.refused("export", id=name, format="csv")
    page.refused("place", place={"query": name, "column": name, "where": {name: name}})
    (last,) = page.stream("debug", complaints=[], settings={}, keep_of=name or "-")
    assert last["type"] == "failed"


def test_a_regressor_and_two_models(opened: Opened) -> None:
    page = opened(odd_desk())
    sql = "SELECT day, avg(predict(r, u)) AS price FROM now u WHERE predict(m, u) = 'yes' GROUP BY day ORDER BY day"
    view = page.call("ask", sql=sql, name="prices")
    assert view["chart"]["scale"] == "time" and view["columns"][1]["says"] == "value"
    place = {"query": "prices", "column": "price", "where": {"day": view["rows"][0][0]}}
    run = page.run("debug", complaints=[{"place": place, "claim": "too_high"}], settings={"budget": 12})
    assert {m["name"] for m in run["models"]} == {"m", "r"} and run["removed"] == 12
    rows = page.call("records", run=run["id"], offset=0, limit=100, sort="model")["rows"]
    assert [r["model"] for r in rows] == sorted(r["model"] for r in rows)
    page.call("keep", run=run["id"], keep=True)
    page.run("debug", complaints=[{"place": place, "claim": "too_high"}], settings={"budget": 6}, keep_of=run["id"])
    for model in ("m", "r"):
        assert page.call("record", model=model, key="7") == page.call("record", model=model, key=7)
    page.call("side_effects", id=run["id"])


SHAPES = {
    "a key that is not selected": "SELECT count(*) FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week",
    "one number": "SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'",
    "the class as key": "SELECT predict(churn, u) AS c, count(*) AS n FROM users u GROUP BY predict(churn, u)",
    "below and above": """SELECT week, n, n - lag(n) OVER (ORDER BY week) AS d FROM
        (SELECT week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY week) ORDER BY week""",
    "a share": """WITH p AS (SELECT week, predict(churn, u) AS c FROM users u)
        SELECT week, count(*) FILTER (c = 'yes') * 1.0 / count(*) AS share FROM p GROUP BY week ORDER BY week""",
    "rows with a probability": "SELECT u.*, predict_proba(churn, u, 'yes') AS p FROM users u",
    "the first ones": """SELECT plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'
        GROUP BY plan ORDER BY n DESC LIMIT 2""",
    "odd names": """SELECT plan AS "the ""plan", avg(fee) AS "fee, mean" FROM users u
        WHERE predict(churn, u) = 'yes' GROUP BY plan""",
    "two queries": """SELECT plan AS k, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY plan
        UNION ALL SELECT region, count(*) FROM users u WHERE predict(churn, u) = 'no' GROUP BY region""",
}


@pytest.fixture(scope="module")
def shop(held: Contract) -> Iterator[Held]:
    with shop_desk(step=50) as desk:
        yield Held(desk, held)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_cell_that_says_so_is_a_place(shop: Held, shape: str) -> None:
    view = shop.call("ask", sql=SHAPES[shape], name=shape)
    names = [c["name"] for c in view["columns"]]
    said = [c for c in view["columns"] if c["says"]]
    assert said and set(view["keys"]) <= set(names)
    for column in said:
        for row in (view["rows"][0], view["rows"][-1]):
            where = {k: row[names.index(k)] for k in view["keys"]}
            place = {"query": shape, "column": column["name"], "where": where}
            told = shop.call("place", place=place)
            assert (told["value"], told["says"]) == (row[names.index(column["name"])], column["says"])
            assert told["classes"] == column["classes"] and told["whole"] == column["whole"]
            if told["value"] is not None:
                assert shop.call("describe", complaint={"place": place, "claim": "is_right"})["holds"]
    run = shop.run("debug", complaints=[{"place": place, "claim": "too_high"}], settings={"budget": 10})
    (change,) = run["changes"]
    ((at, marked),) = change["marked"]
    named = {c["name"]: v for c, v in zip(change["columns"], change["before"][at], strict=True)}
    assert marked == column["name"] and {k: named[k] for k in where} == where and change["total"] >= view["total"]


@pytest.mark.parametrize("fix", ["relabel", "auto"])
def test_a_pattern_is_fixed_as_the_run_fixed_its_records(shop: Held, fix: str) -> None:
    given = [c["complaint"] for c in shop.call("project")["complaints"]]
    run = shop.run("debug", complaints=given, settings={"step": 60, "fix": fix})
    first = run["patterns"][0]
    by_rule = shop.run("fix_pattern", id=run["id"], pattern=0)
    assert [s["after"] for s in by_rule["standings"]] == first["cells"] and by_rule["removed"] <= first["records"]
    assert by_rule["sentence"].startswith("Relabelling")
    rows = shop.call("records", run=by_rule["id"], offset=0, limit=1000)["rows"]
    assert {r["fix"] for r in rows} <= {"relabel to 'yes'", "relabel to 'no'", "delete"}
    scores = [r["score"] for r in rows]
    assert scores == sorted(scores, reverse=True)
    script = shop.call("export", id=by_rule["id"], format="sql", table="churn_training")["text"]
    assert "UPDATE churn_training SET churned = 'yes'" in script
    shop.call("prefix", id=by_rule["id"])


def test_a_total_that_cannot_be_says_why(shop: Held) -> None:
    for shape, column in (("the first ones", "n"), ("a key that is not selected", "count(*)")):
        shop.call("ask", sql=SHAPES[shape], name=shape)
        said = shop.refused("place", place={"query": shape, "column": column, "where": {}, "total": True})
        assert said["kind"] == "ComplaintError" and "total" in said["message"]


def test_a_prediction_of_one_row(opened: Opened) -> None:
    page = opened(odd_desk())
    view = page.call("ask", sql="SELECT id, predict(m, u) AS p FROM now u", name="rows")
    assert view["keys"] == ["id"] and view["columns"][1]["says"] == "class"
    place = {"query": "rows", "column": "p", "where": {"id": 3}}
    now = page.call("place", place=place)
    other = next(c for c in now["classes"] if c != now["value"])
    assert page.call("describe", complaint={"place": place, "claim": "should_be", "value": now["value"]})["holds"]
    run = page.run("debug", complaints=[{"place": place, "claim": "should_be", "value": other}], settings={})
    assert run["standings"][0]["place"] == place and run["changes"][0]["total"] == 400


@pytest.mark.skipif(not os.environ.get("RAIN_DATA"), reason="needs RAIN_DATA")
def test_the_story_on_adult(opened: Opened, root: Path) -> None:
    from rain_debug.config import load
    from rain_debug.config.build import build

    session = build(load(root / "examples" / "adult.toml"))
    page = opened(Desk(session.db, session.queries, session.complaints, session.project.debug, None, "Adult"))
    project = page.call("project")
    for query in project["queries"]:
        page.call("query", name=query["name"])
    given = [c["complaint"] for c in project["complaints"]]
    run = page.run("debug", complaints=given, settings={"budget": 40, "step": 20})
    assert run["removed"] == 40
    page.call("records", run=run["id"], offset=0, limit=100)
