"""Predictions as tables: whose rows they hold, and which are kept for later queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lineage.small import database, infos, query
from lineage.test_asked import predictor
from rain_debug.engines import Table
from rain_debug.errors import EngineError
from rain_debug.lineage import Plane, Predictor, materialise, prepare_sources, rows_key
from rain_debug.lineage.predictions import DOUBTFUL, MOST_KEPT, all_numbers, close_to_call, margin, row_sources

ENGINE = database().engine


def made(sql: str, kept: dict[Any, str] | None, name: str = "__rain_p", inside: bool = True) -> list[str]:
    found = query(sql)
    return list(materialise(found.plan, ENGINE, infos(found), predictor(not inside), name, kept).values())


def test_tables_of_the_same_rows_and_weights_are_kept() -> None:
    kept: dict[Any, str] = {}
    one = "SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes' AND u.x > {}"
    assert made(one.format(0), kept) == ["__rain_p_0"] == list(kept.values())
    assert made(one.format(0), kept, "__rain_q") == ["__rain_p_0"]
    assert made("SELECT u.id FROM t u WHERE u.x > 0 AND predict(m, u) = 'no'", kept, "__rain_q") == ["__rain_p_0"]
    probability = "SELECT predict_proba(m, u, 'yes') AS p FROM t u WHERE predict(m, u) = 'no' AND u.x > 0"
    assert made(probability, kept, "__rain_q") == ["__rain_q_0"]
    assert made(one.format(0), kept, "__rain_q", inside=False) == ["__rain_q_0"]  # not by these weights
    derived = (
        "SELECT count(*) AS n FROM (SELECT seg, avg(x) + 1 AS x FROM t GROUP BY seg) d WHERE predict(m, d) = 'yes'"
    )
    assert made(derived, kept, "__rain_q") == ["__rain_q_0"] and len(kept) == 1
    for i in range(1, MOST_KEPT):
        made(one.format(i), kept, f"__rain_p{i}")
    assert len(kept) == MOST_KEPT
    assert made(one.format(9), kept, "__rain_q") == ["__rain_q_0"] and len(kept) == MOST_KEPT
    both = "SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes' AND predict(b, u) AND u.x > 0"
    assert made(both, kept, "__rain_q") == ["__rain_q_0", "__rain_p_0"]
    assert made(one.format(0), None, "__rain_q") == ["__rain_q_0"]


def test_a_key_tells_weights_and_rows_apart() -> None:
    def key(sql: str, plane: Plane | None = None) -> Any:
        plan = query(sql).plan
        return rows_key(plan, plan.atoms[0], Predictor(lambda table, spread: (np.zeros(0), None), plane))

    one, two = Plane((1.0,), 0.0), Plane((1.0,), 0.5)
    sql = "SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes'"
    assert key(sql, one) == key(sql.replace("'yes'", "'no'"), one) == key(sql, Plane((1.0,), 0.0))
    assert len({key(sql), key(sql, one), key(sql, two), key(f"{sql} AND u.n > 1", one), key("WITH t AS (SELECT * FROM "
               f"main.t WHERE x > 0) {sql}", one)}) == 5  # fmt: skip


def test_derived_tables_are_computed_once_a_capture() -> None:
    plan = query(
        "SELECT count(*) AS n FROM (SELECT seg, avg(x) AS x FROM t GROUP BY seg) d WHERE predict(m, d) = 'yes'"
    ).plan
    (name,) = (s.materialised for s in plan.sources)
    assert name is not None
    kept: set[str] = set()
    for expected in (3, 0):
        ENGINE.drop(name)
        prepare_sources(plan, ENGINE, kept)
        there = ENGINE.table(f"SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = '{name}'")["n"].values[0]
        assert (bool(there), kept) == (expected > 0, {name})
    prepare_sources(plan, ENGINE)
    assert ENGINE.table(f"SELECT * FROM {name}").n_rows == 3


def test_rows_of_several_calls_are_each_predicted_once() -> None:
    def sources(sql: str) -> list[tuple[tuple[str, ...], str]]:
        plan = query(sql).plan
        return [(atom.aliases, text) for atom, text in row_sources(plan, plan.atoms[0])]

    pairs = "SELECT count(*) AS n FROM t u JOIN t v ON u.id < v.id WHERE predict(m, u) = predict(m, v)"
    assert sources(pairs) == [(("u",), 't AS "u" WHERE TRUE')]
    assert sources(f"{pairs} AND u.n > 1") == [
        (("u",), 't AS "u" WHERE ("u"."n" > 1)'),
        (("v",), 't AS "v" WHERE "v".rowid NOT IN (SELECT "u".rowid FROM t AS "u" WHERE ("u"."n" > 1))'),
    ]
    assert sources(f"{pairs} AND u.n > 1 AND v.n > 2 AND v.flag AND u.x > v.x") == [
        (("u",), 't AS "u" WHERE ("u"."n" > 1)'),
        (
            ("v",),
            't AS "v" WHERE ("v"."n" > 2) AND ("v"."flag") AND "v".rowid NOT IN '
            '(SELECT "u".rowid FROM t AS "u" WHERE ("u"."n" > 1))',
        ),
    ]


def test_the_margin_of_a_plane() -> None:
    plan = query("SELECT u.id FROM t u WHERE predict(m, u.n) = 'yes' AND predict(b, u.flag::INT)").plan
    by = {a.model: a for a in plan.atoms}
    assert margin(plan, ENGINE, by["m"], Plane((2.0,), -0.5)) == '-0.5e0 + 2.0e0 * CAST("u"."n" AS DOUBLE)'
    assert close_to_call(Plane((2.0, -3.0), -0.5)) == DOUBTFUL * 6.5
    assert all_numbers(plan, ENGINE, [(a, 't AS "u"') for a in plan.atoms])
    text = query("SELECT u.id FROM t u WHERE predict(m, u.seg) = 'yes' AND predict(b, u.flag)").plan
    kinds = {a.model: all_numbers(text, ENGINE, [(a, 't AS "u"')]) for a in text.atoms}
    assert kinds == {"m": False, "b": True}
    both = query("SELECT u.id FROM t u WHERE predict(g, u) = 1").plan
    assert all_numbers(both, ENGINE, [(both.atoms[0], 't AS "u"')])
    terms = ["0.0e0", '1.0e0 * CAST("u"."x" AS DOUBLE)', '-1.0e0 * CAST("u"."n" AS DOUBLE)']
    assert margin(both, ENGINE, both.atoms[0], Plane((1.0, -1.0), 0.0)) == " + ".join(terms)


def test_rows_of_subqueries_are_each_predicted_once() -> None:
    parts = (
        "(SELECT * FROM t WHERE x > 0) a JOIN (SELECT * FROM t WHERE n > 0) b ON a.id < b.id JOIN t c ON c.id = b.id"
    )
    plan = query(
        f"SELECT count(*) AS n FROM {parts} WHERE predict(m, a) = predict(m, b) AND predict(m, c) = 'yes'"
    ).plan
    found = {atom.aliases[0]: text for atom, text in row_sources(plan, plan.atoms[0])}
    ids = {
        alias: sorted(ENGINE.table(f"SELECT {alias}.id FROM {text}")["id"].to_list()) for alias, text in found.items()
    }
    assert sorted(i for each in ids.values() for i in each) == [1, 2, 3, 4]
    assert len(ids) == 3


class OutOfRange:
    """An engine that refuses to compute one text, as PostgreSQL does where a float overflows."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(ENGINE, name)

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        if "AS sure" in sql:
            raise EngineError(self.message)
        return ENGINE.keep(name, sql, ordered=ordered)


def test_what_is_out_of_range_in_the_engine_is_left_to_the_model() -> None:
    found = query("SELECT count(*) AS n FROM t u WHERE predict(m, u) = 'yes'")
    engine: Any = OutOfRange("value out of range: overflow")
    (table,) = materialise(found.plan, engine, infos(found), predictor(False), "__rain_p").values()
    assert ENGINE.table(f"SELECT label FROM {table} ORDER BY r0")["label"].to_list() == ["no", "no", "yes", "yes"]
    other: Any = OutOfRange("no space left")
    with pytest.raises(EngineError, match="no space left"):
        materialise(found.plan, other, infos(found), predictor(False), "__rain_p")


def test_no_rows_are_a_table_too() -> None:
    calls = {
        "predict(m, u) = 'yes'": ["r0", "label"],
        "predict_proba(m, u, 'no') > 0.5": ["r0", "p0", "p1", "label"],
        "predict(w, u) > 1": ["r0", "label"],
    }
    for call, columns in calls.items():
        (name,) = made(f"SELECT u.id FROM t u WHERE {call} AND u.x > 99", None, inside=False)
        found: Table = ENGINE.table(f"SELECT * FROM {name}")
        assert (list(found), found.n_rows) == (columns, 0)
