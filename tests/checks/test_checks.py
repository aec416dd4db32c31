"""Checks and scripts, run where they are meant to run: DuckDB, SQLite, dbt's templates, Great Expectations."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.checks import Check, Script
from rain_debug.errors import DataError, RainError, SQLError
from rain_debug.sql.write import WORDS

WORD = r"regexp_matches(note, '(?i)\bdeal\b')"
CONDITIONS = [
    "plan = 'basic' AND fee >= 2.5",
    "plan IS NULL",
    "plan = 'it''s {{ odd }} {batch} {% if %}'",
    "NOT active OR fee < 0",
    WORD,
]
FRAME = pd.DataFrame({
    "id": range(6),
    "plan": ["basic", "basic", None, "it's {{ odd }} {batch} {% if %}", "pro", "basic"],
    "fee": [2.5, 1.0, 3.0, 4.0, -1.0, None],
    "active": [True, True, True, False, None, True],
    "note": ["A deal!", "ideal", None, "Deals", "no deal", ""],
})  # fmt: skip


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    frame = FRAME  # noqa: F841 - DuckDB finds it by its name
    con.execute("CREATE TABLE training AS SELECT * FROM frame")
    return con


def violations(con: duckdb.DuckDBPyConnection, condition: str) -> list[int]:
    return [i for (i,) in con.execute(f"SELECT id FROM training WHERE {condition} ORDER BY id").fetchall()]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_query_and_the_dbt_test_return_the_violations(con: duckdb.DuckDBPyConnection, condition: str) -> None:
    check = Check("training", condition, 2, 6)
    expected = violations(con, condition)
    assert expected
    assert sorted(r[0] for r in con.execute(check.sql()).fetchall()) == expected
    text = jinja2.Environment().from_string(check.dbt()).render(ref=lambda name: f'"{name}"')
    assert "{{ odd }}" in text or "odd" not in condition
    assert sorted(r[0] for r in con.execute(text).fetchall()) == expected


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_constraint_stops_what_the_condition_holds_for_and_nothing_else(
    con: duckdb.DuckDBPyConnection, condition: str
) -> None:
    bad = violations(con, condition)
    columns = "id INTEGER, plan VARCHAR, fee DOUBLE, active BOOLEAN, note VARCHAR"
    con.execute(f"CREATE TABLE guarded ({columns}, {Check('guarded', condition).constraint()})")
    for i in FRAME.id:
        if i in bad:
            with pytest.raises(duckdb.ConstraintException, match="CHECK constraint failed"):
                con.execute(f"INSERT INTO guarded SELECT * FROM training WHERE id = {i}")
        else:
            con.execute(f"INSERT INTO guarded SELECT * FROM training WHERE id = {i}")
    other = sqlite3.connect(":memory:")
    if "regexp" not in condition:
        own = Check("guarded", condition).constraint("sqlite")
        other.execute(f"CREATE TABLE guarded (id, plan, fee, active, note, {own})")
        rows = con.execute("SELECT * FROM training ORDER BY id").fetchall()
        for row in rows:
            try:
                other.execute("INSERT INTO guarded VALUES (?, ?, ?, ?, ?)", row)
                assert row[0] not in bad
            except sqlite3.IntegrityError:
                assert row[0] in bad
    other.close()


@pytest.mark.parametrize("condition", [c for c in CONDITIONS if "regexp" not in c])
def test_the_expectation_in_great_expectations(
    condition: str, con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "false")
    # It imports Spark where there is one, which takes a program without a file, as a test's worker is, for a doctest.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    path = tmp_path / "t.sqlite"
    with sqlite3.connect(path) as lite:
        FRAME.to_sql("training", lite, index=False)
    lite.close()
    made = json.loads(json.dumps(Check("training", condition, 2, 6).expectation("sqlite")))
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_sqlite("lite", connection_string=f"sqlite:///{path}").add_table_asset(
        "training", table_name="training"
    )
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    result = batch.validate(ExpectationConfiguration(**made).to_domain_obj())
    assert not result.success
    assert result.result["observed_value"] == len(violations(con, condition))
    never = ExpectationConfiguration(**Check("training", "fee > 1000").expectation("sqlite")).to_domain_obj()
    assert batch.validate(never).success


def test_dialects_that_know_no_words_say_so() -> None:
    check = Check("training", WORD)
    for dialect in WORDS:
        assert "deal" in check.sql(dialect)
    assert r"\ydeal\y" in check.sql("postgres")
    for dialect in ("sqlite", "snowflake"):
        with pytest.raises(SQLError, match=f"'{dialect}' has no words for"):
            check.sql(dialect)
    with pytest.raises(SQLError, match="no dialect 'postgre'") as caught:
        check.sql("postgre")
    assert "postgres" in str(caught.value)


KEYS = st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True)


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, text=st.booleans(), moved=KEYS, data=st.data())
def test_a_script_changes_the_named_records_and_no_other(
    keys: list[int], text: bool, moved: list[int], data: st.DataObject
) -> None:
    with duckdb.connect() as con:
        key = "CASE WHEN i % 7 = 0 THEN 'it''s ' ELSE 'k' END || i" if text else "i"
        con.execute(f"CREATE TABLE t AS SELECT {key} AS \"the key\", 'old' AS y, i FROM range(31) r(i)")
        name = {i: k for k, i in con.execute('SELECT "the key", i FROM t').fetchall()}
        moved = [m for m in moved if m not in keys]
        relabel = tuple((name[m], data.draw(st.sampled_from(["new", "it's"]))) for m in moved)
        script = Script("t", "the key", tuple(name[k] for k in keys), relabel, "y")
        con.execute(script.sql())
        left = dict(con.execute("SELECT i, y FROM t").fetchall())
        new = dict(relabel)
        assert left == {i: new.get(name[i], "old") for i in range(31) if i not in keys}


def test_long_lists_are_cut() -> None:
    script = Script("t", "id", tuple(range(2500)))
    assert script.sql().count("DELETE FROM t") == 3
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT i AS id FROM range(2600) r(i)")
        con.execute(script.sql())
        assert con.execute("SELECT count(*), min(id) FROM t").fetchall() == [(100, 2500)]


def test_a_view_leaves_the_records_out() -> None:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT CASE WHEN i < 9 THEN i END AS id FROM range(10) r(i)")
        con.execute(Script("t", "id", (3, 5)).view("clean"))
        assert con.execute("SELECT count(*) FROM clean").fetchone() == (8,), "a record without a key stays"
        assert con.execute("SELECT count(*) FROM t").fetchone() == (10,)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Check("a b", "x = 1"), "no table's name"),
        (lambda: Check("t; DROP TABLE t", "x = 1"), "no table's name"),
        (lambda: Check("t", "1); DROP TABLE t; --"), "no condition"),
        (lambda: Check("t", "x = 1").dbt(ref="run_query('x')"), "no reference of dbt"),
        (lambda: Script("t", "id"), "no record is to be changed"),
        (lambda: Script("t", "id", (), ((1, "a"),)), "which column is the label"),
        (lambda: Script("t", "id", (), ((1, "a"),), "y").view("v"), "some are to be changed"),
    ],
)
def test_what_is_refused(make: Any, why: str) -> None:
    with pytest.raises(RainError, match=why):
        make()
    with pytest.raises((DataError, SQLError)):
        make()
