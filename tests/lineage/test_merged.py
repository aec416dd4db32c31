"""Tuples that the engine merges give what they give one by one: every cell, its gradient, and bounds that hold it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from lineage.twins import same_numbers
from rain_debug.database.capture import Capture
from rain_debug.database.cells import all_targets
from rain_debug.database.nested import NestedQuery
from rain_debug.errors import SQLError
from rain_debug.lineage import capture, may_fan_out, merged, totals
from rain_debug.relax import Target
from sql.test_sql_files import ALL, database, obeys_laws

FLAT = [(path, case) for path, case in ALL if path.stem != "nested" and " JOIN " in case.text("query").upper()]


def merge_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge however few tuples there are."""
    monkeypatch.setattr(merged, "FAN_OUT", 0.0)
    monkeypatch.setattr(merged, "FEW", 0)


def test_joins_of_the_sql_files_obey_the_laws_when_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    merge_all(monkeypatch)
    checked = []
    for path, case in FLAT:
        if "answer" not in case.parts:
            continue
        query = database(path, "duckdb").query(case.text("query"))
        if not isinstance(query, NestedQuery) and query.plan.is_aggregate and may_fan_out(query.plan):
            obeys_laws(database(path, "duckdb"), query)
            checked.append(case.title)
    assert len(checked) > 12


JOIN = "FROM customers c JOIN orders o ON o.customer = c.id"
MERGED = [
    f"SELECT o.month, count(*) AS n {JOIN} WHERE predict(churn, c) = 'yes' GROUP BY o.month",
    f"SELECT o.month, sum(o.amount) AS s, count(o.amount) AS k {JOIN} WHERE predict(churn, c) = 'yes' GROUP BY o.month",
    f"SELECT o.month, avg(o.amount) AS a, count(o.note) AS k {JOIN} WHERE predict(churn, c) <> 'yes' GROUP BY o.month",
    f"SELECT predict(kind, c) AS k, avg(o.amount) AS a, count(*) AS n {JOIN} GROUP BY predict(kind, c)",
    f"SELECT sum(CASE WHEN predict(kind, c) = 'a' THEN o.amount WHEN predict(kind, c) = 'b' THEN 1 END) AS s {JOIN}",
    f"SELECT avg(CASE WHEN predict(kind, c) = 'a' THEN 2 WHEN predict(kind, c) = 'b' THEN 5 END) AS a, "
    f"count(nullif(predict(kind, c), 'a')) AS k {JOIN} GROUP BY o.month",
    f"SELECT o.month, sum(predict_proba(churn, c, 'yes') * o.amount) AS s, count(*) AS n {JOIN} GROUP BY o.month",
    f"SELECT sum(predict_proba(churn, c, 'yes')) AS s, avg(predict_proba(churn, c, 'no')) AS a {JOIN} GROUP BY o.month",
    "SELECT count(*) FILTER (WHERE predict(churn, c) = 'yes' OR o.gift) AS n, sum(o.amount) FILTER (WHERE o.gift) AS s "
    f"{JOIN} WHERE predict(kind, c) IN ('a', 'b')",
    f"SELECT o.month, sum(o.amount) / count(*) AS r, coalesce(sum(o.amount), 0) AS s, o.month * 2 AS twice {JOIN} "
    "WHERE (predict(churn, c) = 'yes' AND o.gift) OR predict(kind, c) = 'c' GROUP BY o.month",
    f"SELECT o.month, avg(o.amount * predict_proba(churn, c, 'yes')) AS a {JOIN} GROUP BY o.month",
    f"SELECT o.month, count(*) AS n {JOIN} WHERE predict_proba(churn, c, 'yes') > 0.4 AND NOT o.gift GROUP BY o.month",
    f"SELECT c.land, sum(p.price) AS s, avg(p.price) AS a {JOIN} JOIN products p ON p.id = o.product "
    "WHERE predict(churn, c) = 'yes' AND predict(good, p) = 1 GROUP BY c.land",
    f"SELECT sum(predict(good, p) * o.amount) AS s, count(CASE WHEN predict(churn, c) = 'yes' THEN o.note END) AS k "
    f"{JOIN} JOIN products p ON p.id = o.product",
]


@pytest.mark.parametrize("sql", MERGED)
def test_merged_tuples_give_what_they_give_one_by_one(shop: Any, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query = shop.query(sql)
    targets = all_targets(query)
    one_by_one = query.capture(targets, contract=False)
    merge_all(monkeypatch)
    assert_same(one_by_one, query.capture(targets, contract=False), len(targets))


def assert_same(one_by_one: Capture, found: Capture, n_targets: int) -> None:
    """Fewer tuples; the same variables, cells and gradients; bounds that hold them."""
    assert found.merged < found.tuples == one_by_one.merged
    same_numbers(one_by_one, found, n_targets, bounds=True)


def test_a_server_merges_them_too(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query = served.query(
        "SELECT o.month, count(*) AS n, sum(o.amount) AS s, avg(o.amount) AS a, count(*) FILTER (WHERE o.gift) AS g "
        f"{JOIN} WHERE predict(churn, c) = 'yes' GROUP BY o.month"
    )
    targets = all_targets(query)
    one_by_one = query.capture(targets)
    merge_all(monkeypatch)
    assert_same(one_by_one, query.capture(targets), len(targets))


KEPT = [
    f"SELECT sum(c.x * predict_proba(churn, c, 'yes') + o.amount) AS s {JOIN}",
    "SELECT count(*) AS n FROM customers c WHERE predict(churn, c) = 'yes'",
]


@pytest.mark.parametrize("sql", KEPT)
def test_what_sums_do_not_tell_stays_one_by_one(shop: Any, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_all(monkeypatch)
    found = shop.query(sql).capture([Target("value", shop.query(sql).columns[0], ())])
    assert found.merged == found.tuples


def test_an_argument_of_too_many_combinations_stays_one_by_one(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_all(monkeypatch)
    query = shop.query(MERGED[4])  # of three classes
    for most, merges in ((2, False), (3, True)):
        monkeypatch.setattr(totals, "MAX_COMBINATIONS", most)
        found = query.capture(all_targets(query))
        assert (found.merged < found.tuples) == merges


def test_a_large_fan_out_is_merged_and_a_small_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 30_000
    monkeypatch.setattr(merged, "FEW", 3 * n)
    data = {"c": {"id": np.arange(n), "x": np.linspace(-3, 3, n)}}
    for name, each in (("few", 4), ("many", 6)):
        data[name] = {"c": np.repeat(np.arange(n), each), "v": np.ones(n * each)}
    db = rain.connect(data)
    y = np.tile([0, 1], n // 2)
    db.create_model("m", LogisticRegression(), {"x": data["c"]["x"], "y": y}, label="y")
    sizes = {}
    for name in ("few", "many"):
        query = db.query(f"SELECT sum(t.v) AS s FROM c JOIN {name} t ON t.c = c.id WHERE predict(m, c) = 1")
        found = query.capture([query.cell("s").target])
        sizes[name] = found.tuples, found.merged
        assert ("GROUP BY" in found.lineage[0]) == (name == "many")
    assert sizes == {"few": (4 * n, 4 * n), "many": (6 * n, n)}


def test_few_tuples_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    db = rain.connect({"c": {"id": np.arange(9), "x": np.arange(9.0)}, "t": {"c": np.repeat(np.arange(9), 20)}})
    db.create_model("m", LogisticRegression(), {"x": np.arange(4.0), "y": [0, 1, 0, 1]}, label="y")
    query = db.query("SELECT count(*) AS n FROM c JOIN t ON t.c = c.id WHERE predict(m, c) = 1")
    table = db.engine.table
    monkeypatch.setattr(db.engine, "table", lambda sql: asked.append(sql) or table(sql))
    for few, joins in ((180, 1), (179, 3)):  # those that are too many, how many there are, and their sums
        asked.clear()
        monkeypatch.setattr(merged, "FEW", few)
        query.capture([query.cell("n").target])
        assert sum('"t"' in sql for sql in asked) == joins, asked


def test_more_tuples_than_fit_in_memory_are_merged(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query = shop.query(MERGED[0])
    targets = all_targets(query)
    known = query.capture(targets, contract=False)
    monkeypatch.setattr(capture, "MAX_NUMBERS", 1_400)  # some 350 tuples; there are 400
    found = query.capture(targets, contract=False)
    assert known.merged == 400 > found.merged
    P = [np.full((b.n, 2), 0.5) for b in found.blocks]
    np.testing.assert_allclose(found.program.relaxed(P), known.program.relaxed(P), rtol=1e-12)


def test_merged_tuples_refuse_what_single_ones_refuse(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_all(monkeypatch)
    query = shop.query(f"SELECT sum(o.amount / (o.amount * predict_proba(churn, c, 'no'))) AS s {JOIN}")
    with pytest.raises(SQLError, match="denominator"):
        query.capture([Target("value", "s", ())])
