"""Which joins on predictions the engine answers from the groups of two sides; said before anything is predicted."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import rain_debug as rain
from laws.worlds import fixed
from sql.test_sql_files import database

JOIN = "FROM users u JOIN users v ON predict(churn, u) = predict(churn, v)"
CONTRACTED = [
    f"SELECT count(*) AS n {JOIN}",
    f"SELECT avg(u.x) AS n {JOIN}",
    f"SELECT sum(u.x * 2) AS n, count(v.fee) AS k {JOIN}",
    f"SELECT sum(CASE WHEN predict(churn, u) = 'yes' THEN u.fee END) AS n {JOIN}",
    f"SELECT u.plan, count(*) AS n, avg(v.x) AS a {JOIN} GROUP BY u.plan ORDER BY n DESC, u.plan",
    f"SELECT u.plan, sum(u.x) AS s {JOIN} GROUP BY u.plan ORDER BY 2, 1",
    f"SELECT u.plan, sum(u.x) AS s {JOIN} GROUP BY u.plan ORDER BY sum(u.x)",
]
FORMED = [
    f"SELECT sum(u.x * v.x) AS n {JOIN}",
    f"SELECT count(*) AS n {JOIN} AND u.x < v.x",
]


@pytest.mark.parametrize(("sql", "contracted"), [*((s, True) for s in CONTRACTED), *((s, False) for s in FORMED)])
def test_the_answer_is_asked_of_two_sides(sql: str, contracted: bool) -> None:
    query = database(Path(__file__).parents[1] / "sql" / "nested.test", "duckdb").query(sql)
    assert (" AS __l JOIN " in query.explain()) == contracted


def test_decimals_are_added_up_as_numbers() -> None:
    con = duckdb.connect(":memory:")
    con.execute(
        "CREATE TABLE t AS SELECT i AS id, CAST(i AS DOUBLE) AS f, CAST(i AS DECIMAL(30, 8)) AS d FROM range(9) r(i)"
    )
    db = rain.connect(con)
    db.create_model("k", fixed((0, 1)))
    text = db.query("SELECT sum(a.d) AS s, sum(a.f) AS g FROM t a JOIN t b ON predict(k, a) = predict(k, b)").explain()
    assert 'CAST(sum("a"."d") AS DOUBLE) AS s' in text
    assert ' sum("a"."f") AS s' in text
